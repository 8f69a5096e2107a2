/** @file Tokenizers and chat templates beside Python's (tokenizers/cases.json): everything equal, U+FEFF included. */
import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import { chatCases, oracleChat, promptCases, readTextOracle, stringCases } from './checks/oracle_text';
import type { TextCase } from './checks/oracle_text';
import { ORACLE_DIR } from './gpu';

const unequal = (cases: readonly TextCase[]) => cases.filter(({ got, expected }) => !isDeepStrictEqual(got, expected));

const tokenizers = Object.entries(readTextOracle(ORACLE_DIR).tokenizers);

it('there are tokenizers to compare', () => {
  expect(tokenizers.length).toBeGreaterThan(0);
  for (const [, { strings, chat }] of tokenizers) expect(Math.min(strings.length, chat.length)).toBeGreaterThan(0);
});

it.each(tokenizers)('%s: ids and text of every string', async (name, { vocab_size: vocabSize, strings }) => {
  const { tokenizer } = await oracleChat(ORACLE_DIR, name, vocabSize);
  expect(tokenizer.vocabSize).toBe(vocabSize);
  expect(unequal(stringCases(tokenizer, name, strings))).toEqual([]);
});

it.each(tokenizers)('%s: text and ids of every chat', async (name, { vocab_size: vocabSize, chat }) => {
  expect(unequal(chatCases(await oracleChat(ORACLE_DIR, name, vocabSize), name, chat))).toEqual([]);
});

it.each(tokenizers)('%s: prompts of rollouts are those chats, token by token', async (name, tokenizer) => {
  const cases = await promptCases(ORACLE_DIR, name, tokenizer);
  expect(cases.length).toBeGreaterThan(0);
  expect(unequal(cases)).toEqual([]);
});
