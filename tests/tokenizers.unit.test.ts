import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import { chatCases, oracleChat, promptCases, readTextOracle, stringCases } from './checks/oracle_text';
import type { TextCase } from './checks/oracle_text';
import { ORACLE_DIR } from './gpu';

const failed = (cases: readonly TextCase[]) => cases.filter(({ got, expected }) => !isDeepStrictEqual(got, expected));

it.each(Object.entries(readTextOracle(ORACLE_DIR).tokenizers))('%s', async (name, tokenizer) => {
  const chat = await oracleChat(ORACLE_DIR, name, tokenizer.vocab_size);
  const strings = stringCases(chat, name, tokenizer.strings);
  const chats = chatCases(chat, name, tokenizer.chat);
  const prompts = await promptCases(ORACLE_DIR, name, tokenizer);
  expect(failed([...strings, ...chats, ...prompts])).toEqual([]);
});
