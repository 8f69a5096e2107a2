import { expect, it } from 'vitest';
import { UnknownEnvironmentError } from '../../src/envs';
import { ConfigError, configFields, nearest, parseAssignment, resolveConfig } from '../../src/rl';
import { configFromHash, hashFromConfig } from '../../demo/url';

it('defaults work for every environment, and presets win over them', () => {
  expect(resolveConfig({ env: 'reverse-text' })).toMatchObject({
    seed: 1,
    start: 'starter',
    grpo: { steps: 30, lr: 5e-4 },
  });
  expect(resolveConfig({ env: 'even-digits' })).toMatchObject({ start: 'scratch', model: { hidden_size: 48 } });
});

it('later layers win, key by key', () => {
  const config = resolveConfig(
    { env: 'reverse-text', grpo: { lr: 1e-3, steps: 7 } },
    { grpo: { steps: 9 } },
    parseAssignment('grpo.group_size=4'),
  );
  expect(config.grpo).toMatchObject({ lr: 1e-3, steps: 9, group_size: 4, batch_size: 128 });
});

it("an adapter has prime-rl's rank and alpha, and all matrices, unless told otherwise", () => {
  const { method, lora } = resolveConfig({ env: 'reverse-text', method: 'lora', lora: { rank: 8 } });
  expect({ method, lora }).toEqual({
    method: 'lora',
    lora: {
      rank: 8,
      alpha: 32,
      dropout: 0,
      target_modules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
      use_rslora: false,
    },
  });
  expect(resolveConfig({ env: 'reverse-text' }).method).toBe('full');
});

it.each([
  [{ env: 'reverse-text', grpo: { learning_rate: 1 } }, 'unknown key grpo.learning_rate'],
  [{ env: 'reverse-text', grpo: { lrr: 1 } }, 'unknown key grpo.lrr; did you mean grpo.lr?'],
  [{ env: 'reverse-text', sead: 1 }, 'unknown key sead; did you mean seed?'],
  [{ env: 'reverse-text', grpo: { lr: 'fast' } }, 'grpo.lr: '],
  [{ env: 'reverse-text', grpo: { lr: NaN } }, 'grpo.lr: '],
  [{ env: 'reverse-text', grpo: { loss: 'ppo' } }, 'grpo.loss: '],
  [{ env: 'reverse-text', grpo: { loss: 'sft' } }, 'grpo.loss: '], // reads no reward
  [{ env: 'reverse-text', grpo: { loss: 'distill' } }, 'a model cannot learn from its own start; set best or a folder'],
  [
    { env: 'reverse-text', grpo: { beta: 0.1, reference: 'best' }, eval: { interval: 0 } },
    'without evals nobody knows the best',
  ],
  [
    { env: 'reverse-text', grpo: { reference: 'best', reference_sync_interval: 2 } },
    'grpo.reference_sync_interval with grpo.reference "best": only "start" moves on',
  ],
  [
    { env: 'reverse-text', grpo: { steps: 10, schedule: 'cosine', warmup_steps: 3, decay_steps: 8 } },
    'grpo.warmup_steps 3 + grpo.decay_steps 8 exceed grpo.steps 10',
  ],
  [{ env: 'reverse-text', optimizer: { beta2: 1 } }, 'optimizer.beta2: '],
  [{ env: 'reverse-text', grpo: { decay_steps: 8 } }, 'nothing decays; set linear or cosine'],
  [{ env: 'reverse-text', grpo: { async_level: 2 } }, 'grpo.async_level: '],
  [
    { env: 'reverse-text', difficulty: { hard_threshold: 1, easy_threshold: 0.5 } },
    'difficulty.hard_threshold 1 is not below difficulty.easy_threshold 0.5',
  ],
  [
    { env: 'a', curriculum: [{ from_step: 2, weights: { a: 1 } }] },
    'curriculum: the first stage begins at step 2; it must be 1',
  ],
  [
    {
      env: 'a',
      curriculum: [
        { from_step: 1, weights: { a: 1 } },
        { from_step: 1, weights: { a: 1 } },
      ],
    },
    'curriculum: stages must be in the order of from_step',
  ],
  [{ env: 'reverse-text', model: { vocabulary: ['a', ''] } }, 'model.vocabulary.1: '],
  [
    { env: 'reverse-text', grpo: { group_size: 1 } },
    'grpo.group_size 1: a rollout is judged by the others of its group',
  ],
  [{ env: 'reverse-text', sampling: { temperature: 0 } }, 'sampling.temperature: '],
  [{ env: 'reverse-text', grpo: { batch_size: 100 } }, 'grpo.batch_size 100 is not a multiple of grpo.group_size 8'],
  [{ env: 'reverse-text', grpo: { steps: 2 } }, 'grpo.warmup_steps 3 exceeds grpo.steps 2'],
  [{ env: 'reverse-text', model: { heads: 3 } }, 'model.heads 3 is not a multiple of model.kv_heads 2'],
  [
    { env: 'reverse-text', lora: { rank: 8, alpha: 8 } },
    'lora.rank, lora.alpha with method "full": there is no adapter; set method to "lora"',
  ],
  [{ env: 'even-digits', method: 'lora' }, 'method "lora" with start "scratch": an adapter needs a model'],
  [
    { env: 'reverse-text', memory: { base_storage: 'q8' } },
    'memory.base_storage "q8" with method "full": no weights are frozen',
  ],
  [{ env: 'reverse-text', method: 'qlora' }, 'method: '],
  [{ env: 'reverse-text', method: 'lora', lora: { rank: 0 } }, 'lora.rank: '],
  [{ env: 'reverse-text', method: 'lora', lora: { alpha: 0 } }, 'lora.alpha: '],
  [{ env: 'reverse-text', method: 'lora', lora: { dropout: 1 } }, 'lora.dropout: '],
  [{ env: 'reverse-text', method: 'lora', lora: { target_modules: [] } }, 'lora.target_modules: '],
  [{ env: 'reverse-text', method: 'lora', lora: { target_modules: ['lm_head'] } }, 'lora.target_modules.0: '],
  [
    { env: 'reverse-text', method: 'lora', lora: { target_modules: ['q_proj', 'v_proj', 'q_proj'] } },
    'lora.target_modules names a matrix twice: q_proj, v_proj, q_proj',
  ],
  [{ env: 'reverse-text', base: 'x' }, 'base with start "starter": only an adapter in start has a base of its own'],
  [{ env: 'reverse-text', seq_len: 0 }, 'seq_len: '],
  [{}, 'env is missing'],
])('refuses %j', (layer, message) => {
  expect(() => resolveConfig(layer)).toThrow(ConfigError);
  expect(() => resolveConfig(layer)).toThrow(message);
});

it('names every problem at once', () => {
  const bad = { env: 'reverse-text', grpo: { lr: -1, batchsize: 3 }, seed: 0.5 };
  expect(() => resolveConfig(bad)).toThrow(/seed[^]*grpo\.lr[^]*grpo\.batch_size/);
});

it('a link to an environment that does not exist says which there are', () => {
  expect(() => configFromHash('#env=chess')).toThrow(UnknownEnvironmentError);
  expect(() => configFromHash('#env=chess')).toThrow('the library has reverse-text');
});

it('reads key=value by the type of the key', () => {
  expect(parseAssignment('grpo.lr=1e-3')).toEqual({ grpo: { lr: 1e-3 } });
  expect(parseAssignment('grpo.filter_zero_advantages=false')).toEqual({ grpo: { filter_zero_advantages: false } });
  expect(parseAssignment('model.alphabet=0123')).toEqual({ model: { alphabet: '0123' } });
  expect(parseAssignment('env_args.size=mini')).toEqual({ env_args: { size: 'mini' } });
  expect(parseAssignment('env_args.max_length=5')).toEqual({ env_args: { max_length: 5 } });
  expect(parseAssignment('model.vocabulary=["a","bc"]')).toEqual({ model: { vocabulary: ['a', 'bc'] } });
  expect(() => parseAssignment('model.vocabulary=a,b')).toThrow('model.vocabulary: not JSON');
  expect(() => parseAssignment('grpo.stepz=3')).toThrow('unknown key grpo.stepz; did you mean grpo.steps?');
  expect(() => parseAssignment('grpo.lr')).toThrow('not of the form key=value');
  expect(() => resolveConfig({ env: 'reverse-text' }, parseAssignment('grpo.lr=quick'))).toThrow('grpo.lr');
  expect(() => resolveConfig({ env: 'reverse-text' }, parseAssignment('grpo.lr='))).toThrow('grpo.lr');
});

it('describes every setting', () => {
  const fields = configFields();
  expect(fields.length).toBeGreaterThan(40);
  expect(fields.filter((field) => field.description === '')).toEqual([]);
  expect(fields.find((field) => field.key === 'grpo.loss')).toMatchObject({ type: 'enum', default: 'prime' });
});

it('nearest finds near names only', () => {
  expect(nearest('stepps', ['grpo.steps', 'seed'])).toBe('grpo.steps');
  expect(nearest('xylophone', ['grpo.steps', 'seed'])).toBeUndefined();
});

it('a URL holds the differences from the defaults and reads back', () => {
  const config = configFromHash('#env=even-digits&seed=7&grpo.lr=0.002');
  expect(config).toMatchObject({ env: 'even-digits', seed: 7, grpo: { lr: 0.002 } });
  expect(hashFromConfig(config)).toBe('#env=even-digits&seed=7&grpo.lr=0.002');
  expect(configFromHash(hashFromConfig(config))).toEqual(config);
  expect(hashFromConfig(configFromHash(''))).toBe('#env=reverse-text');
  const own = configFromHash('#env=reverse-text&env_args={"maxLength":5}');
  expect(own.env_args).toEqual({ maxLength: 5 });
  expect(configFromHash(hashFromConfig(own))).toEqual(own);
  expect(() => configFromHash('#grpo.lrr=1')).toThrow('did you mean grpo.lr?');
});
