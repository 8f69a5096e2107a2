/** @file Tokenizers and chat templates beside Python's tokenizers and transformers (tokenizers/cases.json). */
import { join } from 'node:path';
import { diskFolder } from '../../cli/files';
import type { Message, ToolSchema } from '../../src/envs';
import { loadText } from '../../src/model';
import type { TextOptions } from '../../src/model';
import { HfChat } from '../../src/model/text/huggingface';
import type { HfTokenizer } from '../../src/model/text/huggingface';
import { readJsonFile } from './files';
import { TINY } from './generation';

interface StringCase {
  text: string;
  ids: number[];
  /** With the tokens that the tokenizer puts around a text, where it puts any. */
  ids_special?: number[];
  decoded: string;
  decoded_skip: string;
}

/** Of transformers' layout: arguments are objects, tools have a type. */
interface UpstreamMessage {
  role: Message['role'];
  content: string;
  tool_calls?: { function: { name: string; arguments: unknown } }[];
}

interface ChatCase {
  messages: UpstreamMessage[];
  add_generation_prompt: boolean;
  tools?: { function: ToolSchema }[];
  text: string;
  ids: number[];
  /** `enable_thinking`, ... */
  [variable: string]: unknown;
}

interface Oracle {
  tokenizers: Record<string, { vocab_size: number; strings: StringCase[]; chat: ChatCase[] }>;
}

/** The chat of a tokenizer of the oracle. */
export async function oracleChat(dir: string, name: string, vocabSize: number, options?: TextOptions): Promise<HfChat> {
  const config = { ...TINY, vocabSize };
  const { chat } = await loadText(diskFolder(join(dir, 'tokenizers', name)), config, options);
  if (!(chat instanceof HfChat)) throw new Error(`${name} is one of our own`);
  return chat;
}

export function readTextOracle(dir: string): Oracle {
  return readJsonFile(dir, 'tokenizers', 'cases.json') as Oracle;
}

export interface TextCase {
  name: string;
  text: string;
  got: unknown;
  expected: unknown;
}

/** Every string: ids, with and without the tokens around it, and the text of the ids. */
export function stringCases(tokenizer: HfTokenizer, name: string, strings: readonly StringCase[]): TextCase[] {
  return strings.map(({ text, ...expected }, i) => ({
    name: `${name}: string ${i}`,
    text,
    expected: { ids_special: expected.ids, ...expected },
    got: {
      ids: tokenizer.encodeRendered(text),
      ids_special: tokenizer.encodeRendered(text, { whole: true }),
      decoded: tokenizer.decodeWhole(expected.ids),
      decoded_skip: tokenizer.decode(expected.ids),
    },
  }));
}

/** Every chat: the text that the template renders, and its ids as transformers cuts them, in one piece. */
export function chatCases({ tokenizer, template }: HfChat, name: string, chats: readonly ChatCase[]): TextCase[] {
  return chats.map(({ text, ids, ...input }, i) => {
    const disguise = tokenizer.disguise(JSON.stringify([input, template.texts]));
    const got = disguise.show(template.render(disguise.hideAll(input)));
    return {
      name: `${name}: chat ${i}`,
      text,
      expected: { text, ids },
      got: { text: got, ids: tokenizer.encodeRendered(got) },
    };
  });
}

/**
 * The chats that ask for a reply, as a rollout renders them. A message with the text of a special token is left out: it
 * stays text here, and becomes the token there.
 */
export async function promptCases(
  dir: string,
  name: string,
  { vocab_size: vocabSize, chat: chats }: Oracle['tokenizers'][string],
): Promise<TextCase[]> {
  const cases: TextCase[] = [];
  for (const [i, { messages, tools = [], add_generation_prompt: asks, text, ids, ...variables }] of chats.entries()) {
    const chat = await oracleChat(dir, name, vocabSize, { variables });
    const forged = [...chat.tokenizer.special.keys()].some((token) => JSON.stringify(messages).includes(token));
    if (!asks || forged) continue;
    const own = messages.map(({ role, content, tool_calls: calls }): Message => ({
      role,
      content,
      ...(calls && {
        toolCalls: calls.map(({ function: call }, k) => ({
          id: `call_${k}`,
          name: call.name,
          arguments: JSON.stringify(call.arguments),
        })),
      }),
    }));
    const got = chat.render(own, { tools: tools.map((tool) => tool.function) });
    cases.push({ name: `${name}: prompt ${i}`, text, expected: ids, got });
  }
  return cases;
}
