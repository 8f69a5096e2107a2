/** @file `terrarium export prime-rl`: what is in the package, where each setting goes, and what cannot be exported. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { exportCommand } from '../../cli/export';
import { mapConfig } from '../../cli/prime_rl';
import { scaffold } from '../../cli/scaffold';
import { libraryEntry } from '../../src/envs';
import { configFields, resolveConfig } from '../../src/rl';
import type { ConfigLayer } from '../../src/rl';
import { HERE, MODEL, exportTo, python, scratchFolder } from './prime_rl/python';

const scratch = scratchFolder();
const printed: string[] = [];

// Python, and a bundler per package.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

beforeAll(() => {
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  }
  return () => vi.restoreAllMocks();
});
beforeEach(() => void (printed.length = 0));

/** Every file below a folder. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** TOML files as Python reads them. */
async function readToml(...paths: string[]): Promise<Record<string, unknown>[]> {
  const { code, out, err } = await python([join(HERE, 'toml.py'), ...paths]);
  expect(code, err).toBe(0);
  const files = JSON.parse(out) as Record<string, Record<string, unknown>>;
  return paths.map((path) => files[path]!);
}

describe('the package', () => {
  const folder = join(scratch, 'wordle');
  const module = 'terrarium_wordle_mini';
  let said = '';

  beforeAll(async () => {
    await exportCommand([
      'prime-rl',
      'wordle-mini',
      '--model',
      MODEL,
      '--out',
      folder,
      '--train-tasks',
      '20',
      '--eval-tasks',
      '10',
    ]);
    said = printed.join('');
  });

  it('is these files, and small', () => {
    const inside = ['__init__.py', 'data/eval.jsonl', 'data/manifest.json', 'data/train.jsonl', 'environment.py'];
    const more = [
      'messages.py',
      'node/runner.mjs',
      'node/sandbox-worker.mjs',
      'process.py',
      'runner.py',
      'tasks.py',
      'taskset.py',
    ];
    expect(filesOf(folder)).toEqual([
      'README.md',
      'pyproject.toml',
      'rl.toml',
      ...[...inside, ...more].map((file) => `${module}/${file}`),
    ]);
    const bytes = filesOf(folder).reduce((sum, file) => sum + readFileSync(join(folder, file)).byteLength, 0);
    expect(bytes).toBeLessThan(3e6);
  });

  it('names no path of the machine that it was made on but the model’s', () => {
    for (const file of filesOf(folder)) {
      const text = readFileSync(join(folder, file), 'utf8').replaceAll(MODEL, '');
      expect(text.includes(process.cwd()), file).toBe(false);
    }
  });

  it('is Python that compiles', async () => {
    const files = filesOf(folder).filter((file) => file.endsWith('.py'));
    expect(files).toHaveLength(7);
    const compiled = mkdtempSync(join(scratch, 'compiled-'));
    const compile = `import py_compile, sys
for i, file in enumerate(sys.argv[2:]):
    py_compile.compile(file, f"{sys.argv[1]}/{i}.pyc", doraise=True)`;
    const paths = files.map((file) => join(folder, file));
    const { code, err } = await python(['-W', 'error', '-c', compile, compiled, ...paths]);
    expect(code, err).toBe(0);
    expect(readdirSync(compiled)).toHaveLength(7);
  });

  it('depends on verifiers and says what an eval takes', async () => {
    const [project] = await readToml(join(folder, 'pyproject.toml'));
    expect(project).toMatchObject({
      project: { name: 'terrarium-wordle-mini', version: '0.1.0', 'requires-python': '>=3.11' },
      tool: {
        hatch: { build: { 'ignore-vcs': true, targets: { wheel: { packages: [module] } } } },
        verifiers: { eval: { num_examples: 10, rollouts_per_example: 3 } },
      },
    });
    expect((project!.project as { dependencies: string[] }).dependencies).toContain('verifiers>=0.2.0');
  });

  it('has the tasks of the datasets, one line each', async () => {
    const env = libraryEntry('wordle-mini').load();
    for (const [split, count] of [
      ['train', 20],
      ['eval', 10],
    ] as const) {
      const lines = readFileSync(join(folder, module, `data/${split}.jsonl`), 'utf8')
        .trimEnd()
        .split('\n');
      expect(lines).toHaveLength(count);
      for (const [index, line] of lines.entries()) {
        const { exampleId, ...row } = await env.example(index, split);
        const prompt = env.promptFor(row).map(({ role, content }) => ({ role, content }));
        expect(JSON.parse(line)).toEqual({ ...row, prompt, example_id: exampleId });
      }
    }
  });

  it('is the same every time', async () => {
    const again = join(scratch, 'again');
    await exportTo(again, 'wordle-mini', { trainTasks: 20, evalTasks: 10 });
    for (const file of filesOf(folder)) {
      expect(readFileSync(join(again, file), 'utf8') === readFileSync(join(folder, file), 'utf8'), file).toBe(true);
    }
  });

  it('says what to do with it, here and in its README', () => {
    const readme = readFileSync(join(folder, 'README.md'), 'utf8');
    for (const text of [said, readme]) {
      expect(text).toContain('uv pip install -e ');
      expect(text).toContain('vf-eval terrarium-wordle-mini -m ');
      expect(text).toMatch(/uv run rl @ .*rl\.toml/);
    }
    expect(said).toContain('20 tasks to train on, 10 to evaluate on');
  });

  it('prints the settings without a counterpart, and lists them in rl.toml', () => {
    const toml = readFileSync(join(folder, 'rl.toml'), 'utf8');
    for (const text of [said, toml]) {
      expect(text).toMatch(/^#? *a warm-up is a run of its own there .*:$/m);
      expect(text).toContain('memory.cache_mb = 256');
    }
  });
});

describe('rl.toml', () => {
  const layers = (text: ConfigLayer): ConfigLayer[] => [text];

  async function tomlOf(name: string, env: string, given: ConfigLayer = {}): Promise<Record<string, unknown>> {
    const folder = join(scratch, name);
    await exportTo(folder, env, { layers: layers(given), trainTasks: 1, evalTasks: 1 });
    return (await readToml(join(folder, 'rl.toml')))[0]!;
  }

  it('has each mapped setting in its place', async () => {
    const toml = await tomlOf('toml', 'tool-test-mini', {
      seed: 7,
      grpo: {
        ...{ steps: 50, batch_size: 96, group_size: 12, lr: 3e-6, loss: 'prime', mask_low: 0.3, mask_high: 0.25 },
        ...{ kl_tau: 0.01, schedule: 'linear', warmup_steps: 10, min_lr_ratio: 0.5, async_level: 1 },
        ...{ filter_zero_advantages: false },
      },
      sampling: { temperature: 0.8, max_tokens: 77 },
      optimizer: { beta1: 0.8, beta2: 0.99, weight_decay: 0.02, max_norm: 0.5 },
      length_penalty: { output_tokens: 0.2 },
      difficulty: { hard_threshold: 0.1, easy_threshold: 0.9, easy_weight: 0.25 },
      eval: { interval: 20, examples: 60 },
      checkpoint: { interval: 15, keep_last: 3 },
    });
    expect(toml).toMatchObject({
      max_steps: 50,
      seq_len: 64, // what the model in starters/reverse-text was made for
      model: { name: MODEL },
      orchestrator: {
        batch_size: 96,
        group_size: 12,
        max_off_policy_steps: 1,
        algo: {
          type: 'grpo',
          length_penalty: {
            ...{ type: 'linear', num_output_tokens_weight: 0.2, num_input_tokens_weight: 0, num_turns_weight: 0 },
          },
        },
        renderer: { name: 'default', tool_parser: 'qwen3' },
        train: {
          filter_zero_advantages: false,
          sampling: { temperature: 0.8, max_completion_tokens: 77 },
          source: [
            {
              name: 'terrarium-tool-test-mini',
              curriculum: {
                sampler: {
                  type: 'difficulty_pool',
                  pools: {
                    hard: { threshold: 0.1, weight: 1 },
                    normal: { threshold: 0.9 - 2 ** -53, weight: 1 },
                    easy: { threshold: Number.MAX_VALUE, weight: 0.25 },
                  },
                },
              },
              env: {
                taskset: { id: 'terrarium-tool-test-mini', split: 'train' },
                agent: { harness: { id: 'terrarium-tool-test-mini' }, runtime: { type: 'subprocess' } },
              },
            },
          ],
        },
        eval: {
          interval: 20,
          num_examples: 60,
          source: [{ name: 'terrarium-tool-test-mini-eval', env: { taskset: { split: 'eval' } } }],
        },
      },
      trainer: {
        loss: { type: 'default', dppo_mask_low: 0.3, dppo_mask_high: 0.25, kl_tau: 0.01 },
        optim: { type: 'adamw', lr: 3e-6, betas1: 0.8, betas2: 0.99, weight_decay: 0.02, max_norm: 0.5 },
        scheduler: { type: 'linear', warmup_steps: 10, decay_steps: 40, min_lr: 1.5e-6 },
      },
      ckpt: { interval: 15, keep_last: 3 },
      inference: { vllm: { seed: 7, tool_call_parser: 'hermes' } },
    });
  });

  it('leaves to prime-rl’s defaults what is off', async () => {
    const toml = await tomlOf('plain', 'reverse-text', {
      grpo: { warmup_steps: 0 },
      optimizer: { max_norm: 0 },
      eval: { interval: 0 },
      checkpoint: { interval: 0 },
    });
    expect(toml.trainer).toEqual({
      loss: { type: 'default' },
      optim: { type: 'adamw', lr: 5e-4, betas1: 0.9, betas2: 0.95, weight_decay: 0, max_norm: 'None' },
    });
    const { algo, eval: evals, renderer, train } = toml.orchestrator as Record<string, Record<string, unknown>>;
    expect(algo).toEqual({ type: 'grpo' });
    expect(renderer).toEqual({ name: 'default' });
    expect(evals!.interval).toBe(30); // before the first step, and after the last
    expect((train!.source as object[])[0]).not.toHaveProperty('curriculum');
    expect(toml.ckpt).toEqual({ keep_last: 2 });
    const { maxTokens } = libraryEntry('reverse-text').load().sampling;
    expect(train!.sampling).toEqual({ temperature: 1, max_completion_tokens: maxTokens });
  });

  it('takes a LoRA section where an adapter is trained', () => {
    const adapter = { rank: 8, alpha: 16, target_modules: ['q_proj', 'v_proj'] };
    const settingsOf = (layer: ConfigLayer) =>
      mapConfig(resolveConfig({ env: 'reverse-text' }, layer), { maxTokens: undefined, maxPositions: undefined })
        .settings;
    expect(settingsOf({ method: 'lora', lora: adapter })).toMatchObject({ trainer: { model: { lora: adapter } } });
    expect(settingsOf({ method: 'full' }).trainer).not.toHaveProperty('model');
  });

  it('has no renderer for a model of the hub, which is found by its name', async () => {
    const folder = join(scratch, 'hub');
    await exportCommand([
      'prime-rl',
      'reverse-text',
      '--model',
      'hub:Qwen/Qwen3-0.6B',
      '--out',
      folder,
      '--train-tasks',
      '1',
    ]);
    const [toml] = await readToml(join(folder, 'rl.toml'));
    expect(toml).toMatchObject({ model: { name: 'Qwen/Qwen3-0.6B' }, seq_len: 2048 });
    expect(toml!.orchestrator).not.toHaveProperty('renderer');
  });
});

describe('every setting has a place in rl.toml, or is listed without one', () => {
  const context = { maxTokens: 16, maxPositions: 2048 };
  const keys = configFields().map(({ key }) => key);
  const defaults = mapConfig(resolveConfig({ env: 'reverse-text' }), context);

  it('with the settings that an environment has by itself', () => {
    const listed = defaults.unmapped.map(({ key }) => key);
    const placed = [...defaults.mapped.keys()];
    expect([...listed, ...placed].sort()).toEqual([...new Set([...keys, 'seq_len'])].sort());
    for (const { why } of defaults.unmapped) expect(why).not.toBe('nothing there is known to mean it');
  });

  /** A setting that prime-rl cannot do, and the key that says so. */
  const CANNOT: readonly (readonly [key: string, layer: ConfigLayer])[] = [
    ['grpo.loss', { grpo: { loss: 'cispo' } }],
    ['grpo.mask_low', { grpo: { loss: 'cispo', mask_low: 0.1 } }],
    ['grpo.kl_tau', { grpo: { loss: 'cispo', kl_tau: 0.1 } }],
    ['grpo.mask_high', { grpo: { loss: 'ipo', mask_low: 0.1, mask_high: 0.2 } }],
    ['grpo.advantage', { grpo: { advantage: 'group' } }],
    ['grpo.schedule', { grpo: { schedule: 'linear', decay_steps: 5 } }],
    ['grpo.updates_per_batch', { grpo: { updates_per_batch: 2 } }],
    ['grpo.replacement_rounds', { grpo: { replacement_rounds: 1 } }],
    ['grpo.mask_truncated', { grpo: { mask_truncated: true } }],
    ['grpo.max_epochs', { grpo: { max_epochs: 2 } }],
    ['grpo.reference', { grpo: { reference: 'best' } }],
    ['grpo.reference_sync_interval', { grpo: { reference_sync_interval: 4 } }],
    ['grpo.beta', { grpo: { beta: 0.1 } }],
    ['grpo.delta', { grpo: { delta: 2 } }],
    ['grpo.epsilon_low', { grpo: { epsilon_low: 0.1 } }],
    ['grpo.epsilon_high', { grpo: { epsilon_high: 0.3 } }],
    ['grpo.entropy_coefficient', { grpo: { entropy_coefficient: 0.01 } }],
    ['length_penalty.turns', { grpo: { advantage: 'max_rl' }, length_penalty: { turns: 0.1 } }],
    ['curriculum', { curriculum: [{ from_step: 1, weights: { a: 1 } }] }],
    ['optimizer.epsilon', { optimizer: { epsilon: 1e-6 } }],
  ];

  it.each(CANNOT)('%s is listed as soon as it is used', (key, layer) => {
    const { unmapped } = mapConfig(resolveConfig({ env: 'reverse-text' }, layer), context);
    expect(unmapped.map((each) => each.key)).toContain(key);
    expect(defaults.unmapped.map((each) => each.key)).not.toContain(key);
  });

  it('a warm-up stays where the schedule has no counterpart', () => {
    const layer = { grpo: { schedule: 'linear', decay_steps: 5, warmup_steps: 4 } };
    const { settings } = mapConfig(resolveConfig({ env: 'reverse-text' }, layer), context);
    expect(settings).toMatchObject({ trainer: { scheduler: { type: 'linear', warmup_steps: 4, decay_steps: 0 } } });
  });

  it('other losses and algorithms that it has are set', () => {
    const layer = { grpo: { loss: 'ipo', mask_low: 0.1, mask_high: 0.1, advantage: 'max_rl', schedule: 'cosine' } };
    const { settings } = mapConfig(resolveConfig({ env: 'reverse-text' }, layer), context);
    expect(settings).toMatchObject({
      orchestrator: { algo: { type: 'max_rl' } },
      trainer: { loss: { type: 'ipo', ipo_threshold: 0.1 }, scheduler: { type: 'cosine', warmup_steps: 3, min_lr: 0 } },
    });
  });
});

it('exports what `terrarium init` makes', async () => {
  const own = join(scratch, 'no-vowels');
  mkdirSync(own);
  for (const [file, text] of scaffold('no-vowels', process.cwd())) writeFileSync(join(own, file), text);
  const folder = join(scratch, 'init');
  await exportCommand(['prime-rl', own, '--model', MODEL, '--set', 'env_args.seed=5', '--out', folder]);
  expect(printed.join('')).toContain(`Running the code of ${own}, which may do what you may.`);
  expect(printed.join('')).toContain('1000 tasks to train on, 200 to evaluate on');
  const manifest = JSON.parse(readFileSync(join(folder, 'terrarium_no_vowels/data/manifest.json'), 'utf8')) as object;
  expect(manifest).toMatchObject({
    ...{ name: 'no-vowels', version: '0.1.0', env_args: { seed: 5 }, tasks: { train: 1000, eval: 200 } },
    ...{ metrics: ['exactMatch', 'similarity', 'num_turns'], tools: [], sampling: { max_tokens: 16 } },
  });
});

describe('what cannot be exported is one error, and nothing is written', () => {
  const out = join(scratch, 'never');

  /** A folder with some of a model's files. */
  function modelWith(files: Record<string, string>): string {
    const folder = mkdtempSync(join(scratch, 'model-'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return folder;
  }

  const config = '{"model_type":"qwen3"}';
  const index = 'model.safetensors.index.json';

  const CASES: readonly (readonly [what: string, args: () => string[], error: RegExp])[] = [
    ['no format', () => [], /^UsageError: export : there is one format, prime-rl$/],
    ['another format', () => ['trl', 'wordle'], /^UsageError: export trl: there is one format/],
    ['no environment', () => ['prime-rl'], /^UsageError: one environment, please/],
    ['two environments', () => ['prime-rl', 'wordle', 'arithmetic'], /^UsageError: one environment, please/],
    ['no model', () => ['prime-rl', 'wordle'], /^UsageError: --model: which model/],
    [
      'an unknown environment',
      () => ['prime-rl', 'wordel', '--model', MODEL],
      /^EnvironmentPackageError: there is no environment "wordel": it is none of the library \(.*wordle.*/,
    ],
    [
      'a group with an unknown member',
      () => ['prime-rl', 'wordle+nothing', '--model', MODEL],
      /^UnknownEnvironmentError: there is no environment "nothing"/,
    ],
    [
      'an option that the environment does not have',
      () => ['prime-rl', 'reverse-text', '--model', MODEL, '--set', 'env_args.max_lenght=3'],
      /^EnvironmentOptionsError: .*unknown option maxLenght; did you mean maxLength\?$/,
    ],
    [
      'an unknown setting',
      () => ['prime-rl', 'wordle', '--model', MODEL, '--set', 'grpo.learning_rat=1'],
      /^ConfigError: unknown key grpo\.learning_rat/,
    ],
    [
      'a bad value',
      () => ['prime-rl', 'wordle', '--model', MODEL, '--set', 'grpo.batch_size=7'],
      /^ConfigError: grpo\.batch_size 7 is not a multiple/,
    ],
    [
      'no such settings file',
      () => ['prime-rl', 'wordle', '--model', MODEL, '--config', join(scratch, 'no.toml')],
      /^ConfigError: .*no\.toml: no such file$/,
    ],
    [
      'a settings file that is no TOML',
      () => [
        'prime-rl',
        'wordle',
        '--model',
        MODEL,
        '--config',
        join(modelWith({ 'a.toml': 'seed = 1\n[grpo' }), 'a.toml'),
      ],
      /^ConfigError: .*a\.toml, line 2: /,
    ],
    [
      'no such model',
      () => ['prime-rl', 'wordle', '--model', join(scratch, 'nowhere')],
      /^ExportError: --model .*nowhere: there is no folder .*; a model of the hub is hub:OWNER\/MODEL$/,
    ],
    [
      'a hub name that is none',
      () => ['prime-rl', 'wordle', '--model', 'hub:qwen'],
      /^ExportError: --model hub:qwen: /,
    ],
    [
      'a model without config.json',
      () => ['prime-rl', 'wordle', '--model', modelWith({})],
      /^ExportError: .*: there is no config\.json$/,
    ],
    [
      'a config.json that is no JSON',
      () => ['prime-rl', 'wordle', '--model', modelWith({ 'config.json': '{' })],
      /^ExportError: .*: config\.json is not JSON \(/,
    ],
    [
      'a config.json without a family',
      () => ['prime-rl', 'wordle', '--model', modelWith({ 'config.json': '{}' })],
      /^ExportError: .*: config\.json has no model_type$/,
    ],
    [
      'a model without weights',
      () => ['prime-rl', 'wordle', '--model', modelWith({ 'config.json': config })],
      /^ExportError: .*: there are no weights: neither model\.safetensors nor model\.safetensors\.index\.json$/,
    ],
    [
      'a model with a shard missing',
      () => {
        const map = JSON.stringify({ weight_map: { a: 'one.safetensors', b: 'two.safetensors' } });
        const files = { 'config.json': config, [index]: map, 'one.safetensors': '' };
        return ['prime-rl', 'wordle', '--model', modelWith(files)];
      },
      /^ExportError: .*index\.json names two\.safetensors, which is not there$/,
    ],
    [
      'a model without a tokenizer',
      () => ['prime-rl', 'wordle', '--model', modelWith({ 'config.json': config, 'model.safetensors': '' })],
      /^ExportError: .*: there is no tokenizer: none of tokenizer\.json/,
    ],
    [
      'self-play',
      () => ['prime-rl', 'kuhn-poker', '--model', MODEL],
      /^ExportError: kuhn-poker trains several seats in one rollout \(train\)/,
    ],
    [
      'no tasks at all',
      () => ['prime-rl', 'wordle', '--model', MODEL, '--train-tasks', '0'],
      /^UsageError: --train-tasks 0: a whole number above 0$/,
    ],
    [
      'half a task',
      () => ['prime-rl', 'wordle', '--model', MODEL, '--eval-tasks', '1.5'],
      /^UsageError: --eval-tasks 1\.5/,
    ],
  ];

  it.each(CASES)('%s', async (_, args, error) => {
    const given = args();
    const before = filesOf(scratch);
    const thrown = (await exportCommand([...given, '--out', out]).then(
      () => undefined,
      (reason: unknown) => reason,
    )) as Error;
    expect(`${thrown?.name}: ${thrown?.message}`).toMatch(error);
    expect(thrown.message).not.toContain('\n');
    expect(filesOf(scratch)).toEqual(before);
    expect(existsSync(out)).toBe(false);
  });

  it('a folder that holds something is left as it is', async () => {
    const folder = mkdtempSync(join(scratch, 'full-'));
    writeFileSync(join(folder, 'mine.txt'), 'mine');
    const args = ['prime-rl', 'reverse-text', '--model', MODEL, '--out', folder];
    await expect(exportCommand(args)).rejects.toThrow(/ is not empty: it holds mine\.txt; choose another folder$/);
    expect(filesOf(folder)).toEqual(['mine.txt']);
  });

  it('a place that cannot be written to', async () => {
    const file = join(scratch, 'a-file');
    writeFileSync(file, '');
    const args = ['prime-rl', 'reverse-text', '--model', MODEL, '--out', join(file, 'inside')];
    await expect(exportCommand(args)).rejects.toThrow(/^cannot write to .*inside: /);
  });

  /** Exports a package of one's own that consists of this text. */
  async function exportOwn(text: string): Promise<unknown> {
    const own = mkdtempSync(join(scratch, 'own-'));
    writeFileSync(join(own, 'index.ts'), text);
    return exportCommand(['prime-rl', own, '--model', MODEL, '--out', out]);
  }

  it('a package that does not compile', async () => {
    await expect(exportOwn('export const loadEnvironment = (')).rejects.toThrow(/index\.ts cannot be bundled: /);
    expect(existsSync(out)).toBe(false);
  });

  it('rewards that need the whole group', async () => {
    const text = `
      import { Rubric, SingleTurnEnv, groupReward, rows } from 'terrarium';
      const rubric = new Rubric({ longest: groupReward(({ completions }) => completions.map(() => 1)) });
      export const loadEnvironment = () => new SingleTurnEnv({ name: 'groups', dataset: rows([{ question: 'x' }]), rubric });`;
    await expect(exportOwn(text)).rejects.toThrow('groups scores the rollouts of a task together');
    expect(existsSync(out)).toBe(false);
  });

  it('a task that JSON cannot say', async () => {
    const text = `
      import { SingleTurnEnv, rows } from 'terrarium';
      const dataset = rows([{ question: 'x', info: { a: [1, Infinity] } }]);
      export const loadEnvironment = () => new SingleTurnEnv({ name: 'endless', dataset });`;
    await expect(exportOwn(text)).rejects.toThrow(
      /^endless: row 0 of train, info, a\[1\]: Infinity is nothing that JSON can say$/,
    );
    expect(existsSync(out)).toBe(false);
  });
});

it('a game is exported where the policy has one seat', async () => {
  const folder = join(scratch, 'kuhn');
  const opponent = ['--set', 'env_args.opponent=equilibrium'];
  await exportCommand(['prime-rl', 'kuhn-poker', '--model', MODEL, ...opponent, '--train-tasks', '4', '--out', folder]);
  expect(existsSync(join(folder, 'terrarium_kuhn_poker/node/runner.mjs'))).toBe(true);
});
