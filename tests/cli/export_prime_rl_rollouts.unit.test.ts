/**
 * @file Rollouts of exported packages: what Python gets from the runner in Node is what the same environment says and
 * rewards in the page.
 */
import { writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { loadEnvironment } from '../../cli/env_package';
import { libraryEntry } from '../../src/envs';
import type { Environment } from '../../src/envs';
import { HERE, exportTo, python, scratchFolder } from './prime_rl/python';
import { playHere } from './prime_rl/reference';
import type { PlayedRollout, Reference } from './prime_rl/reference';

const scratch = scratchFolder();

/** Environments of every kind, and how many rollouts of each. Together 1,000. */
const ROLLOUTS: readonly (readonly [name: string, kind: string, count: number, args?: Record<string, unknown>])[] = [
  ['reverse-text', 'one turn', 170],
  ['arithmetic', 'one turn, with an answer that is mathematics', 90],
  ['alphabet-sort', 'some turns', 90],
  ['wordle-mini', 'a game', 210],
  ['tool-test-mini', 'tools', 90],
  ['wiki-search-mini', 'tools with a world', 180],
  ['code-math-mini', 'code in a sandbox', 90],
  ['reverse-text+wordle-mini', 'a group', 40],
  ['kuhn-poker', 'a game against a player with dice', 40, { opponent: 'equilibrium' }],
];

/** Plays rollouts of a package through Python. */
async function playThere(folder: string, module: string, references: readonly Reference[]): Promise<PlayedRollout[]> {
  const input = JSON.stringify(references.map(({ scripted }) => scripted));
  const { code, out, err } = await python([join(HERE, 'play.py'), folder, module], { input });
  expect(code, err).toBe(0);
  return JSON.parse(out) as PlayedRollout[];
}

async function compare(env: Environment, folder: string, module: string, count: number): Promise<readonly Reference[]> {
  const references = await Promise.all(Array.from({ length: count }, (_, index) => playHere(env, index)));
  const played = await playThere(folder, module, references);
  expect(played).toHaveLength(count);
  for (const [i, reference] of references.entries()) expect(played[i], `rollout ${i}`).toEqual(reference.played);
  return references;
}

describe('1,000 rollouts through Python agree with the page in every message, reward and metric', () => {
  it('are 1,000', () => {
    expect(ROLLOUTS.reduce((sum, [, , count]) => sum + count, 0)).toBe(1000);
  });

  for (const [name, kind, count, args = {}] of ROLLOUTS) {
    it(`${name}: ${count} rollouts, ${kind}`, { timeout: 120_000 }, async () => {
      const folder = join(scratch, name);
      const { module } = await exportTo(folder, name, { layers: [{ env_args: args }], trainTasks: 1, evalTasks: 1 });
      const references = await compare(libraryEntry(name).load(args), folder, module, count);
      // The players tell good rollouts from bad ones: equal rewards are not just zeros.
      const rewards = new Set(references.map(({ trace }) => trace.reward));
      expect(rewards.size).toBeGreaterThan(1);
    });
  }
});

const OWN = `
import { MultiTurnEnv, Rubric, generated } from 'terrarium';
/** Says higher or lower by its own dice. */
class Echo extends MultiTurnEnv {
  envResponse(state) {
    console.log('the environment prints'); // not where answers go
    const answer = [{ role: 'user', content: String(state.random.below(1000)) }];
    if (state.turns.length === 3) state.finalEnvResponse = answer;
    return answer;
  }
}
const lucky = ({ completion }) => completion.filter(({ role }) => role === 'user').reduce((n, m) => n + Number(m.content), 0) / 7;
export const loadEnvironment = ({ factor = 1 } = {}) =>
  new Echo({
    name: 'echo-dice',
    dataset: generated((i) => ({ question: 'number ' + i * factor, answer: '', info: { i } })),
    rubric: new Rubric({ lucky }),
  });
`;

it(
  'an environment of one’s own is exported with its options, and rolls the same dice',
  { timeout: 60_000 },
  async () => {
    const own = join(scratch, 'echo-dice');
    mkdirSync(own);
    writeFileSync(join(own, 'index.ts'), OWN);
    writeFileSync(join(own, 'package.json'), JSON.stringify({ name: 'echo-dice', version: '2.3.4' }));
    const folder = join(scratch, 'echo-package');
    const { module } = await exportTo(folder, own, {
      layers: [{ env_args: { factor: 3 } }],
      trainTasks: 5,
      evalTasks: 2,
    });
    expect(module).toBe('terrarium_echo_dice');
    const { env } = await loadEnvironment(own, { factor: 3 });
    const printed = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const references = await compare(env, folder, module, 30);
    printed.mockRestore();
    expect(references[1]!.scripted.task.question).toBe('number 3');
    expect(new Set(references.map(({ trace }) => trace.reward)).size).toBeGreaterThan(20);
  },
);
