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

/** How to use a model's text, where it leaves a choice. */
export interface TextOptions {
  /** What a chat template is told besides messages and tools: `enable_thinking`, ... */
  variables?: Record<string, unknown>;
  /** The date that a chat template may ask for. */
  now?: () => Date;
}
