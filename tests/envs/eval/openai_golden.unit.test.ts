import { expect, it } from 'vitest';
import { openaiCases } from '../../checks/verifiers_openai';

const ORACLE = process.env.ORACLE_DIR ?? new URL('../../oracle', import.meta.url).pathname;

it('step_tokens and step_messages are upstream’s', () => {
  const cases = openaiCases(`${ORACLE}/verifiers`);
  expect(cases).toHaveLength(33);
  expect(cases.filter(({ ok }) => !ok)).toEqual([]);
});
