/** @file The text of our small models: everything follows from their tokenizer. */
import { CHAT_TEMPLATE, TinyChat } from '../chat';
import type { ModelConfig } from '../config';
import { encodeJson } from '../files';
import type { TinyTokenizer } from '../tokenizer';
import type { ModelText } from './text';

/** The text of a model that speaks with this tokenizer. */
export function tinyText(tokenizer: TinyTokenizer, { maxPositions }: Pick<ModelConfig, 'maxPositions'>): ModelText {
  return {
    tokenizer,
    chat: new TinyChat(tokenizer),
    files: () =>
      new Map([
        ['tokenizer.json', encodeJson(tokenizer.toJson())],
        [
          'tokenizer_config.json',
          encodeJson({
            bos_token: '<bos>',
            eos_token: '<eos>',
            pad_token: '<pad>',
            model_max_length: maxPositions,
            tokenizer_class: 'PreTrainedTokenizerFast',
            chat_template: CHAT_TEMPLATE,
          }),
        ],
      ]),
  };
}
