/** @file An environment package brings its own copy of the library, and its sandboxes find the worker all the same. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadEnvironment } from '../../cli/env_package';
import { ROLLOUT, replay } from '../envs/library/players';

const PACKAGE = `
import { Rubric, SandboxEnv, rows } from 'terrarium';
export const loadEnvironment = () =>
  new SandboxEnv({
    name: 'powers',
    dataset: rows([{ question: '2 to the power of 10?', answer: '1024' }]),
    rubric: new Rubric({ right: ({ response, answer }) => response === answer }),
  });
`;

it('a package with a SandboxEnv runs code', { timeout: 30_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-test-'));
  try {
    writeFileSync(join(folder, 'index.ts'), PACKAGE);
    const { env } = await loadEnvironment(folder, {});
    const toolCalls = [{ id: 'call_0', name: 'javascript', arguments: '{"code":"2 ** 10"}' }];
    const script = [
      { role: 'assistant', content: '', toolCalls },
      { role: 'assistant', content: '1024' },
    ] as const;
    const trace = await env.rollout(await env.example(0), replay(script.map((each) => ({ ...each }))), ROLLOUT);
    expect([trace.error, trace.reward, trace.completion[1]!.content]).toEqual([null, 1, '=> 1024']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
