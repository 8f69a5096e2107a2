/** @file Suites: what a settings file means, what it refuses, the table, and going on after a kill. */
import { parse as parseToml } from 'smol-toml';
import { expect, it } from 'vitest';
import {
  MemoryStore,
  SuiteError,
  formatSuiteCsv,
  formatSuiteMarkdown,
  functionModel,
  libraryEntry,
  parseSuite,
  runSuite,
  suiteTable,
} from '../../../src/envs';
import type { SuiteEntry, SuiteHost, SuiteResult } from '../../../src/envs';
import { Random, subKey } from '../../../src/random';

const read = (text: string) => parseSuite(parseToml(text), 'suite.toml');

const SUITE = `
model = ["acme/good", "acme/bad"]
num_examples = 4
rollouts_per_example = 2
env_id = ["reverse-text", "even-digits"]

[[eval]]
temperature = 0.5

[[eval]]
temperature = 1.0
max_concurrent = 2

[[ablation]]
env_id = ["letter-sort", "arithmetic-mini"]
[ablation.sweep]
temperature = [0.5, 1.0]
`;

/** Answers by the rollout's dice: often what the environment wants, the better model and the colder one more often. */
function player(name: string, played: { count: number }) {
  return functionModel(name, async ({ messages, key, sampling }) => {
    played.count++;
    const random = new Random(subKey(key, 1));
    await new Promise((go) => setTimeout(go, 2 * random.next()));
    const text = messages.at(-1)!.content;
    return random.next() < (name === 'acme/good' ? 0.9 : 0.4) / sampling.temperature! / 2
      ? [...text].reverse().join('')
      : text;
  });
}

/** A place whose stores outlive what runs in it. */
function place() {
  const stores = new Map<string, MemoryStore>();
  const counts = { opened: 0, closed: 0, played: { count: 0 } };
  const host: SuiteHost = {
    loadEnvironment: ({ environment, envArgs }) => ({ env: libraryEntry(environment).load(envArgs), defaults: {} }),
    openModel: ({ model }) => {
      counts.opened++;
      return Promise.resolve({ model: player(model, counts.played), close: () => void counts.closed++ });
    },
    store: ({ id }) => {
      const store = stores.get(id) ?? new MemoryStore();
      stores.set(id, store);
      return store;
    },
  };
  return { host, stores, counts };
}

const tableOf = (results: readonly SuiteResult[]) => formatSuiteCsv(suiteTable(results));

it('reads blocks over defaults, crosses lists and sweeps, and names every result by what decides it', () => {
  const entries = read(`
seed = 3
[[eval]]
env_id = "reverse-text"
sampling_args = { top_p = 0.9 }
max_tokens = 7
[[ablation]]
env_id = "reverse-text"
env_args = { min_length = 2 }
seed = 4
[ablation.sweep]
temperature = [0.0, 1.0]
[ablation.sweep.env_args]
max_length = [4, 5]
`);
  expect(entries.map(({ sampling, envArgs, seed, model }) => [sampling, envArgs, seed, model])).toEqual([
    [{ topP: 0.9, maxTokens: 7 }, {}, 3, 'starter'],
    ...[0, 1].flatMap((temperature) =>
      [4, 5].map((length) => [{ temperature }, { min_length: 2, max_length: length }, 4, 'starter']),
    ),
  ]);
  expect(new Set(entries.map(({ id }) => id)).size).toBe(5);
  const id = (text: string) => read(`[[eval]]\nenv_id = "a/b"\n${text}`)[0]!.id;
  expect(id('')).toMatch(/^a--b--starter--[0-9a-f]{8}$/);
  expect(id('max_concurrent = 1')).toBe(id('')); // how, not what
  expect(id('seed = 1')).not.toBe(id(''));
});

it.each([
  ['', 'suite.toml: neither an [[eval]] nor an [[ablation]] block'],
  ['[eval]\nenv_id = "x"', 'suite.toml: eval is not a list of blocks: write [[eval]]'],
  ['[[eval]]\nmodel = "x"', 'suite.toml, [[eval]] 1: env_id is missing'],
  ['[[eval]]\nenv_id = "x"\n[[eval]]\nenv_ids = 1', 'suite.toml, [[eval]] 2: there is no field "env_ids"; known are'],
  [
    '[[eval]]\nenv_id = "x"\nnum_examples = 1.5',
    'suite.toml, [[eval]] 1: num_examples is not a whole number from -1: 1.5',
  ],
  ['[[eval]]\nenv_id = "x"\nmodel = []', 'suite.toml, [[eval]] 1: model is not a list of values'],
  ['[[ablation]]\nenv_id = "x"', 'suite.toml, [[ablation]] 1, sweep: missing'],
  ['[[ablation]]\nenv_id = "x"\n[ablation.sweep]\nseed = 1', '[[ablation]] 1, sweep: seed is not a list of values'],
  ['[[ablation]]\nenv_id = "x"\n[ablation.sweep]\nseeds = [1]', '[[ablation]] 1, sweep: there is no field "seeds"'],
  ['[[ablation]]\nenv_id = "x"\n[ablation.sweep.env_args]\na = 1', 'sweep: env_args.a is not a list of values'],
  ['[[eval]]\nenv_id = ["x", "x"]', 'suite.toml: the same evaluation twice: x with starter'],
  ['[[eval]]\nenv_id = "x"\nsampling_args = { stop = "a" }', 'sampling_args: our own models do not know stop'],
  ['[[eval]]\nenv_id = "x"\nsampling_args = { top_k = "a" }', 'sampling_args: top_k is no number'],
  ['[[eval]]\nenv_id = "x"\nconstructor = 1', 'there is no field "constructor"'],
])('refuses %j', (text, message) => {
  expect(() => read(text)).toThrow(SuiteError);
  expect(() => read(text)).toThrow(message);
});

it('gives the same table when it was killed in the middle, and plays nothing twice', async () => {
  const entries = read(SUITE);
  expect(entries).toHaveLength(16); // 4 environments, 2 models, 2 temperatures
  const whole = place();
  const table = tableOf(await runSuite(entries, whole.host));
  expect(whole.counts).toEqual({ opened: 16, closed: 16, played: { count: 128 } });

  const killed = place();
  const controller = new AbortController();
  let finished = 0;
  const onProgress = (_: SuiteEntry, { done, total }: { done: number; total: number }) => {
    if (done === total) finished++;
    if (finished === 7 && done === 3) controller.abort(new Error('killed'));
  };
  await expect(runSuite(entries, killed.host, { signal: controller.signal, onProgress })).rejects.toThrow('killed');
  const torn = [...killed.stores.values()].at(-1)!;
  torn.results = torn.results.slice(0, -20); // its last line was being written
  const kept = [...killed.stores.values()].reduce((sum, store) => sum + store.results.split('\n').length - 1, 0);
  expect(kept).toBeGreaterThan(7 * 8);
  expect(kept).toBeLessThan(8 * 8);

  killed.counts.opened = killed.counts.played.count = 0;
  expect(tableOf(await runSuite(entries, killed.host))).toBe(table);
  expect(killed.counts.opened).toBe(9);
  expect(killed.counts.played.count).toBe(128 - kept);
  // Once more: nothing is left to do, and no model is needed.
  expect(tableOf(await runSuite(entries, killed.host))).toBe(table);
  expect(killed.counts.opened).toBe(9);
});

it('writes the table with its intervals as CSV and Markdown, one column for each setting that varies', async () => {
  const { host } = place();
  const results = await runSuite(read(SUITE), host);
  const table = suiteTable(results);
  expect(table.columns).toEqual(
    ['environment', 'model', 'temperature', 'examples', 'rollouts', 'failed'].concat([
      'reward',
      'low',
      'high',
      'solved',
      'output_tokens',
    ]),
  );
  const { reward } = results[0]!.summary;
  expect(table.rows[0]!.slice(0, 9)).toEqual(
    ['reverse-text', 'acme/good', 0.5, 4, 8, 0, reward!.mean].concat(reward!.interval!),
  );
  const csv = formatSuiteCsv(table).split('\r\n');
  expect(csv[1]).toBe(
    `reverse-text,acme/good,0.5,4,8,0,${[reward!.mean, ...reward!.interval!].join(',')},${reward!.mean},`,
  );
  const markdown = formatSuiteMarkdown(table).split('\n');
  expect(markdown).toHaveLength(16 + 3);
  const cells = [reward!.mean.toFixed(3), reward!.interval!.map((each) => each.toFixed(3)).join(' to ')];
  expect(markdown[2]).toContain(`| reverse-text | acme/good | 0.5 | 4 | 8 | 0 | ${cells.join(' | ')} |`);

  const hostile = { columns: table.columns, rows: [['=1+1', 'a,"b"|<i>', ...table.rows[0]!.slice(2)]] };
  expect(formatSuiteCsv(hostile)).toContain(`\r\n'=1+1,"a,""b""|<i>",`);
  expect(formatSuiteMarkdown(hostile)).toContain(String.raw`| =1+1 | a,"b"\|\<i\> |`);
});

it('names the evaluation whose environment or model cannot be had', async () => {
  const { host, counts } = place();
  const entries = read('[[eval]]\nenv_id = ["reverse-text", "revers-text"]\nmodel = "m"');
  await expect(runSuite(entries, host)).rejects.toThrow(/^revers-text with m: .*there is no environment "revers-text"/);
  expect(counts.opened).toBe(0); // before anything is played
  const broken: SuiteHost = { ...host, openModel: () => Promise.reject(new Error('no such folder')) };
  await expect(runSuite([entries[0]!], broken)).rejects.toThrow('reverse-text with m: Error: no such folder');
});
