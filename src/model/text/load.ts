/** @file Reads the text of a model from its folder. */
import type { ModelConfig } from '../config';
import { CheckpointError } from '../errors';
import { parseJson } from '../files';
import type { FileSource } from '../files';
import { TinyTokenizer, isTinyTokenizer } from '../tokenizer';
import type { ModelText, TextOptions } from './text';
import { tinyText } from './tiny';

/**
 * Reads tokenizer and chat format of a folder - of one of our small models, or Hugging Face's - and checks that they are
 * those of the model.
 * @throws CheckpointError naming the file and what is wrong with it; TemplateError for a chat template that renders nothing
 */
export async function loadText(folder: FileSource, config: ModelConfig, options?: TextOptions): Promise<ModelText> {
  const bytes = await folder.read('tokenizer.json');
  if (!bytes) throw new CheckpointError(`${folder.name}: tokenizer.json is missing`);
  const json = parseJson(bytes, `${folder.name}/tokenizer.json`);
  if (!isTinyTokenizer(json)) {
    const { loadHuggingFaceText } = await import('./lazy-huggingface');
    return loadHuggingFaceText(folder, config, { bytes, json }, options);
  }
  const tokenizer = TinyTokenizer.fromJson(json, `${folder.name}/tokenizer.json`);
  if (tokenizer.vocabSize !== config.vocabSize) {
    throw new CheckpointError(
      `${folder.name}: tokenizer.json has ${tokenizer.vocabSize} tokens, config.json says ${config.vocabSize}`,
    );
  }
  return tinyText(tokenizer, config);
}
