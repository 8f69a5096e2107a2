/** @file The files of a new environment. They are an example that runs: everything in them is there to be replaced. */

/**
 * @param name of the environment
 * @param root the repository's folder, seen from the package's
 * @returns texts by file name
 */
export function scaffold(name: string, root: string): Map<string, string> {
  return new Map([
    ['index.ts', code(name)],
    [`${name}.test.ts`, test(name)],
    ['README.md', card(name, root)],
    ['package.json', manifest(name, root)],
    ['tsconfig.json', typeScript(root)],
  ]);
}

const code = (name: string) => `/** @file ${name}: write a word without its vowels. */
import { PURPOSE, Random, Rubric, SingleTurnEnv, deriveKey, generated, sequenceRatio } from 'terrarium';
import type { RewardArgs, TaskRow } from 'terrarium';

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];

/** 1 when the answer is exactly right. */
function exactMatch({ response, answer }: RewardArgs): number {
  return response === answer ? 1 : 0;
}

/** How alike answer and response are, from 0 to 1. */
function similarity({ response, answer }: RewardArgs): number {
  return sequenceRatio(response, answer);
}

/** Task \`index\` of a split (0 = train, 1 = eval): the same every time. Lengths keep the splits apart. */
function task(seed: number, split: number, index: number): TaskRow {
  const random = new Random(deriveKey(seed, PURPOSE.dataset, split, index));
  const length = 4 + 2 * random.below(2) + split; // 4 or 6 letters to train on, 5 or 7 to evaluate
  const word = Array.from({ length }, () => random.pick(LETTERS)).join('');
  return { question: word, answer: word.replaceAll(/[aeiou]/g, '') };
}

export function loadEnvironment({ seed = 0 }: { seed?: number } = {}): SingleTurnEnv {
  return new SingleTurnEnv({
    name: '${name}',
    dataset: generated((index) => task(seed, 0, index)),
    evalDataset: generated((index) => task(seed, 1, index), 200),
    // The reward is the weighted sum; weight 0 is a metric that is shown and not rewarded.
    rubric: new Rubric({ exactMatch, similarity }, { weights: { exactMatch: 1, similarity: 0 } }),
    sampling: { maxTokens: 16 },
  });
}
`;

const test = (
  name: string,
) => `/** @file A perfect player earns the full reward, a wrong one none. Run with \`npm test\`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluate, functionModel } from 'terrarium';
import { loadEnvironment } from './index';

const env = loadEnvironment();

test('${name}: a perfect player earns the full reward', async () => {
  const perfect = functionModel('perfect', ({ messages }) => messages.at(-1)!.content.replaceAll(/[aeiou]/g, ''));
  const { summary } = await evaluate(env, perfect, { numExamples: 50 });
  assert.equal(summary.reward?.mean, 1);
  assert.equal(summary.failed, 0);
});

test('${name}: a player who says something else earns nothing', async () => {
  const wrong = functionModel('wrong', () => 'something else');
  const { summary } = await evaluate(env, wrong, { numExamples: 50 });
  assert.equal(summary.reward?.mean, 0);
});

test('${name}: a task is the same every time, and none is in both splits', async () => {
  const again = loadEnvironment();
  const train = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const row = await env.example(i);
    assert.deepEqual(await again.example(i), row);
    train.add(row.question!);
  }
  for (let i = 0; i < 200; i++) assert.ok(!train.has((await env.example(i, 'eval')).question!));
});
`;

const card = (name: string, root: string) => `# ${name}

Write a word without its vowels.

| | |
|---|---|
| tasks | random words of 4 or 6 letters, made from a seed; 200 of 5 or 7 letters to evaluate |
| turns | one question, one answer |
| tags | single-turn, text |

| reward | weight | what it is |
|---|---|---|
| exactMatch | 1 | 1 when the answer is exactly right |
| similarity | 0 (metric) | how alike answer and response are |

| option | default | |
|---|---|---|
| seed | 0 | of the tasks |

| question | answer |
|---|---|
| kaleq | klq |
| oxube | xb |

In this folder \`npm test\` runs its test. In Terrarium's folder (${root} from here):

    npm run eval -- ${name} -m starters/reverse-text -n 20 -r 2 -s
    npm run view
`;

const manifest = (name: string, root: string) =>
  `${JSON.stringify(
    {
      name,
      version: '0.1.0',
      description: 'Write a word without its vowels.',
      keywords: ['terrarium-environment', 'single-turn', 'text'],
      type: 'module',
      private: true,
      main: 'index.ts',
      scripts: { test: `node ${root}/scripts/terrarium.mjs test` },
      terrarium: { eval: { num_examples: 20, rollouts_per_example: 3 } },
    },
    null,
    2,
  )}\n`;

const typeScript = (root: string) => `{
  "compilerOptions": {
    "target": "ES2022",
    "lib": ["ES2023", "DOM", "DOM.Iterable"],
    "module": "ESNext",
    "moduleResolution": "bundler",
    "strict": true,
    "noEmit": true,
    "skipLibCheck": true,
    "typeRoots": ["${root}/node_modules/@types", "${root}/node_modules"],
    "types": ["node", "vite/client", "@webgpu/types"],
    "paths": { "terrarium": ["${root}/src/index.ts"] }
  },
  "include": ["*.ts"]
}
`;
