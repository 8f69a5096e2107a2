/** @file An exported package when something is wrong with its program: a clear error each, and the next rollout works. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { DOUBLE, HERE, exportTo, python, scratchFolder } from './prime_rl/python';

/** Dies, hangs, dozes or naps when it is told to; "more" asks for another reply; all else is worth 1. */
const TROUBLE = `
import { MultiTurnEnv, Rubric, rows } from 'terrarium';
class Trouble extends MultiTurnEnv {
  async envResponse(state) {
    const said = state.completion.at(-1).content;
    if (said === 'die') {
      console.error('I can bear it no longer');
      process.exit(7);
    }
    if (said === 'hang') for (;;);
    const seconds = { doze: 10, nap: 0.5 }[said];
    if (seconds) await new Promise((wake) => setTimeout(wake, 1000 * seconds));
    const answer = [{ role: 'user', content: 'and then?' }];
    if (said !== 'more' && !seconds) state.finalEnvResponse = answer;
    return answer;
  }
}
export const loadEnvironment = () =>
  new Trouble({
    name: 'trouble',
    dataset: rows([{ question: 'hello' }]),
    rubric: new Rubric({
      kept: ({ completion }) => {
        if (completion.some(({ content }) => content === 'break')) throw new RangeError('the reward is broken');
        return 0;
      },
      fine: ({ completion }) => completion.some(({ content }) => content === 'fine'),
    }),
  });
`;

interface Seen {
  crash: { dying: string[]; other: string[]; lost: string[]; after: number };
  killed: { killed: string[]; after: number };
  stuck: { doze: string[]; still_alive: number; hang: string[]; after: number; same_process: boolean };
  nonsense: Record<string, unknown>;
  stopped: { asked: object[]; stop: Record<string, unknown>; while_busy: Record<string, unknown> };
  no_node: string[];
  old_node: string[];
  no_program: string[];
  bad_tasks: Record<string, string>;
  needs_only_python: string[];
}

const scratch = scratchFolder();
let seen: Seen;
/** Of load_environment's rollouts, with replies "break", "die" and "fine". */
let errors: (string | null)[];

beforeAll(async () => {
  const own = join(scratch, 'trouble');
  mkdirSync(own);
  writeFileSync(join(own, 'index.ts'), TROUBLE);
  const folder = join(scratch, 'package');
  const { module } = await exportTo(folder, own);
  const old = join(scratch, 'old-node');
  writeFileSync(old, '#!/bin/sh\necho v18.19.0\n');
  chmodSync(old, 0o755);
  const none = join(scratch, 'no-program');
  writeFileSync(none, 'not a program');
  chmodSync(none, 0o755);
  const env = { OLD_NODE: old, NO_PROGRAM: none };
  const { code, out, err } = await python([join(HERE, 'failures.py'), folder, module], { env });
  expect(code, err).toBe(0);
  seen = JSON.parse(out) as Seen;
  errors = [];
  for (const content of ['break', 'die', 'fine']) {
    const rollout = { split: 'train', index: 0, replies: [{ role: 'assistant', content }] };
    const input = JSON.stringify({ arguments: {}, bad_arguments: {}, rollouts: [rollout] });
    const played = await python([join(HERE, 'classic.py'), DOUBLE, folder, module], { input });
    expect(played.code, played.err).toBe(0);
    errors.push((JSON.parse(played.out) as { rollouts: { error: string | null }[] }).rollouts[0]!.error);
  }
}, 60_000);

describe('the program dies', () => {
  it('the rollout that it died of fails with its last words, and so do those in flight', () => {
    const words = /^the environment's program ended with code 7; its last words .*:\nI can bear it no longer$/;
    for (const [name, message] of [seen.crash.dying, seen.crash.other]) {
      expect(name).toBe('RunnerCrashedError');
      expect(message).toMatch(words);
    }
  });

  it('a rollout of the dead program stays dead', () => {
    expect(seen.crash.lost[0]).toBe('RunnerCrashedError');
  });

  it('the next rollout starts it again', () => {
    expect([seen.crash.after, seen.killed.after]).toEqual([1, 1]);
  });

  it('a kill from outside is told as one', () => {
    expect(seen.killed.killed).toEqual([
      'RunnerCrashedError',
      expect.stringMatching(/was killed by signal 9; .*:\n\(nothing\)$/),
    ]);
  });
});

describe('the program does not answer in time', () => {
  it('an environment that takes too long is an error, and others go on', () => {
    expect(seen.stuck.doze).toEqual([
      'RunnerTimeoutError',
      expect.stringContaining("did not answer 'step' within 3 s"),
    ]);
    expect(seen.stuck.still_alive).toBe(1);
  });

  it('a program that answers nobody is killed, and started again', () => {
    expect(seen.stuck.hang[0]).toBe('RunnerTimeoutError');
    expect(seen.stuck.after).toBe(1);
    expect(seen.stuck.same_process).toBe(false);
  });
});

describe('requests that make no sense', () => {
  it('are one error each, and the rollout goes on', () => {
    expect(seen.nonsense).toEqual({
      early: ['RequestError', 'step: the rollout has not started, or is ended'],
      no_prompt: ['RequestError', 'WireError: start: the prompt is not a list of messages'],
      split: ['RequestError', 'WireError: start: split is neither train nor eval'],
      no_message: ['RequestError', 'WireError: step: there is no message'],
      unscored: ['RequestError', 'WireError: score: the rollout is not done'],
      unknown: ['RequestError', expect.stringContaining('WireError: there is no request dance')],
      after_all: 1,
    });
  });
});

it('in verifiers’ terms what failed here is the rollout’s error, never a reward of 0', () => {
  expect(errors).toEqual([
    'reward (kept): RangeError: the reward is broken',
    expect.stringContaining("the environment's program ended with code 7"),
    null,
  ]);
});

describe('the engine ends a rollout', () => {
  const result = {
    reward: 0,
    metrics: { kept: 0, fine: 0, num_turns: 1 },
    is_truncated: true,
    error: null,
    num_turns: 1,
  };

  it('it is scored as it is, and says why', () => {
    expect(seen.stopped.asked).toEqual([{ role: 'user', content: 'and then?' }]);
    expect(seen.stopped.stop).toMatchObject({ done: true, result: { ...result, stop_condition: 'context_length' } });
  });

  it('also while the environment is still busy with its answer', () => {
    expect(seen.stopped.while_busy).toMatchObject({
      done: true,
      result: { ...result, stop_condition: 'timeout_reached' },
    });
  });
});

describe('there is no Node that will do', () => {
  const need = "this environment's rewards run in Node.js 20 or newer";

  it('none at all', () => {
    expect(seen.no_node).toEqual([
      'NodeMissingError',
      `${need}, and there is no '/no/such/node' on the PATH: install Node.js, or name it in TERRARIUM_NODE`,
    ]);
  });

  it('one that is too old', () => {
    expect(seen.old_node).toEqual(['NodeMissingError', expect.stringMatching(/old-node --version says 'v18\.19\.0'$/)]);
  });

  it('something that is no program', () => {
    expect(seen.no_program).toEqual(['NodeMissingError', expect.stringContaining('cannot be run')]);
  });
});

it('files of tasks that cannot be used are named with the line', () => {
  expect(seen.bad_tasks).toEqual({
    'not JSON': expect.stringMatching(/^eval\.jsonl, line 1: /) as string,
    'no id': 'eval.jsonl, line 1: no example_id',
    'no prompt': 'eval.jsonl, line 1: no prompt',
    answer: 'eval.jsonl, line 1: the answer is not text',
    info: 'eval.jsonl, line 1: the info is not an object',
    twice: 'eval.jsonl, line 2: example_id 0 was there before',
    none: 'eval.jsonl holds no tasks',
  });
});

it('runner and tasks need nothing but the standard library', () => {
  expect(seen.needs_only_python).toEqual([]);
});
