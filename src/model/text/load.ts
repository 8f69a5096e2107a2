/** @file Reads the text of a model from its folder. */
import { readJson } from '../files';
import type { FileSource } from '../files';
import type { ModelConfig } from '../config';
import { CheckpointError } from '../errors';
import { TinyTokenizer } from '../tokenizer';
import type { ModelText } from './text';
import { tinyText } from './tiny';

/**
 * Reads the tokenizer of a folder and checks that it is that of the model.
 * @throws CheckpointError naming the file and what is wrong with it
 */
export async function loadText(folder: FileSource, config: ModelConfig): Promise<ModelText> {
  const tokenizer = TinyTokenizer.fromJson(await readJson(folder, 'tokenizer.json'), `${folder.name}/tokenizer.json`);
  if (tokenizer.vocabSize !== config.vocabSize) {
    throw new CheckpointError(
      `${folder.name}: tokenizer.json has ${tokenizer.vocabSize} tokens, config.json says ${config.vocabSize}`,
    );
  }
  return tinyText(tokenizer, config);
}
