/** @file Model folders that hold text only: a tokenizer of the oracle, with templates and settings of a test's own. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadText } from '../../src/model';
import type { FileSource, TextOptions } from '../../src/model';
import { HfChat } from '../../src/model/text/huggingface';
import { TINY } from './generation';

/** The project's own copy of the oracle: what is tested with it knows its tokens by number. */
export const FIXTURES = new URL('../oracle', import.meta.url).pathname;

export const TOKENIZERS = ['qwen-like', 'smollm-like', 'llama3-like'] as const;

/** Of all three. */
export const ROWS = 704;

/** ChatML with tools; nothing of it depends on what comes later. */
export const CHATML = [
  '{% if tools %}<|im_start|>system\nTools:{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}<|im_end|>\n{% endif %}',
  '{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}',
  '{% for call in message.tool_calls or [] %}<tool_call>\n{{ call.function | tojson }}\n</tool_call>{% endfor %}',
  '<|im_end|>\n{% endfor %}',
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}',
].join('');

/** A file's text or bytes; null takes it away. */
type Changes = Record<string, string | Uint8Array | Record<string, unknown> | null>;

/**
 * A folder called `m`: the files of a tokenizer of the oracle, with changes. An object is merged into a JSON file.
 */
export function textFolder(tokenizer: (typeof TOKENIZERS)[number], changes: Changes = {}): FileSource {
  const path = (file: string) => join(FIXTURES, 'tokenizers', tokenizer, file);
  const read = (file: string): Uint8Array | undefined => {
    const own = existsSync(path(file)) ? new Uint8Array(readFileSync(path(file))) : undefined;
    const change = changes[file];
    if (change === undefined) return own;
    if (change === null || change instanceof Uint8Array) return change ?? undefined;
    if (typeof change === 'string') return new TextEncoder().encode(change);
    const json = own ? (JSON.parse(new TextDecoder().decode(own)) as Record<string, unknown>) : {};
    return new TextEncoder().encode(JSON.stringify({ ...json, ...change }));
  };
  return { name: 'm', read: (file) => Promise.resolve(read(file)) };
}

/** The chat of such a folder. */
export async function textChat(
  tokenizer: (typeof TOKENIZERS)[number],
  changes: Changes = {},
  options?: TextOptions,
): Promise<HfChat> {
  const { chat } = await loadText(textFolder(tokenizer, changes), { ...TINY, vocabSize: ROWS }, options);
  if (!(chat instanceof HfChat)) throw new Error('a tokenizer of our own');
  return chat;
}

/** The same with a template of the test's own. */
export function templateChat(
  template: string,
  tokenizer: (typeof TOKENIZERS)[number] = 'smollm-like',
  options?: TextOptions,
): Promise<HfChat> {
  return textChat(tokenizer, { 'chat_template.jinja': template }, options);
}
