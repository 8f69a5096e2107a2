/** @file What a model brings to be talked with: its tokenizer, its chat format, and the files that say both. */
import type { ChatFormat, ChatTokenizer } from '../chat';

export interface Tokenizer extends ChatTokenizer {
  vocabSize: number;
  /** Token texts by id, '' where no token has that id. */
  tokens: readonly string[];
}

export interface ModelText {
  tokenizer: Tokenizer;
  chat: ChatFormat;
  /** What an export writes beside the weights, by file name. */
  files(): Map<string, Uint8Array<ArrayBuffer>>;
}
