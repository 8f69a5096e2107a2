import { expect, it } from 'vitest';
import { chooseAdapter } from '../../bench/adapter';
import { PARTS, PEERS, UsageError, parseOptions } from '../../bench/options';
import type { BenchOptions } from '../../bench/options';
import { argumentsOf, unitsOf } from '../../bench/units';
import { isSoftware } from '../../src/kernels';

const parse = (...args: string[]) => parseOptions(args) as BenchOptions;

it('without options everything is measured, each model in a unit of its own', () => {
  const options = parse();
  expect(options).toMatchObject({ parts: PARTS, peers: PEERS, adapter: 'default', quick: false });
  expect(unitsOf(options)).toEqual([
    { part: 'train', config: 'S' },
    { part: 'train', config: 'M' },
    { part: 'matmul' },
    { part: 'decode', config: 'M' },
    { part: 'decode', config: 'SmolLM2-135M' },
    { part: 'grpo' },
    { part: 'steady' },
  ]);
  expect(parse('--help')).toBe('help');
});

it('a model goes to the parts that know it', () => {
  expect(unitsOf(parse('--config', 'M'))).toContainEqual({ part: 'decode', config: 'M' });
  expect(unitsOf(parse('--config', 'L', '--only', 'train,decode'))).toEqual([{ part: 'train', config: 'L' }]);
  expect(unitsOf(parse('--quick', '--only', 'train'))).toEqual([{ part: 'train', config: 'XS' }]);
  expect(() => unitsOf(parse('--config', 'XL'))).toThrow(/--config XL: there are XS, S, M, L, SmolLM2-135M/);
  expect(() => unitsOf(parse('--config', 'S', '--only', 'grpo'))).toThrow('these parts have no models to choose');
});

it('the command line of a unit asks for that unit and for nothing else', () => {
  const given = [
    '--adapter',
    'lavapipe',
    '--peers',
    'none',
    '--rounds',
    '2',
    '--steps',
    '3',
    '--json',
    'x.json',
    '--quick',
  ];
  const options = parse(...given, '--only', 'matmul,decode');
  for (const unit of unitsOf(options)) {
    const again = parse(...argumentsOf(unit, options));
    expect(unitsOf(again)).toEqual([unit]);
    expect(again).toEqual({ ...options, parts: [unit.part], configs: unit.config && [unit.config] });
  }
});

it.each([
  [['--only', 'train,matmull'], '--only train,matmull: some of train, matmul, decode, grpo, steady'],
  [['--adapter', 'lavapipe,swiftshader'], '--adapter lavapipe,swiftshader: one of default, lavapipe, swiftshader'],
  [['--peers', 'torch'], '--peers torch: some of jax-js, tfjs, transformers.js'],
  [['--rounds', '0'], '--rounds 0: not a whole number from 1 on'],
  [['--steps', '1.5'], '--steps 1.5: not a whole number from 1 on'],
])('%j is refused by name', (args, message) => {
  expect(() => parse(...args)).toThrow(new UsageError(message));
});

it('an unknown option is refused by name', () => {
  expect(() => parse('--onyl', 'train')).toThrow(/--onyl/);
});

it('an adapter is chosen for Vulkan’s loader, or the places are named where it is not', () => {
  const env: NodeJS.ProcessEnv = { TERRARIUM_SWIFTSHADER: '/nowhere/icd.json', MESA_SHADER_CACHE_DISABLE: 'false' };
  expect(() => chooseAdapter('swiftshader', {}, env)).toThrow('--adapter swiftshader: there is no /nowhere/icd.json');
  expect(env.MESA_SHADER_CACHE_DISABLE).toBe('false'); // what is set stays
  const here = new URL(import.meta.url).pathname;
  chooseAdapter('swiftshader', {}, Object.assign(env, { TERRARIUM_SWIFTSHADER: here }));
  expect(env.VK_ICD_FILENAMES).toBe(here);
  const untouched: NodeJS.ProcessEnv = {};
  chooseAdapter('default', { coldCaches: false }, untouched);
  expect(untouched).toEqual({});
  chooseAdapter('default', {}, untouched);
  expect(untouched).toEqual({ MESA_SHADER_CACHE_DISABLE: 'true', __GL_SHADER_DISK_CACHE: '0' });
});

it('software adapters are known by their names', () => {
  expect(isSoftware('mesa software llvmpipe-llvm-15-0-6-256-bits-')).toBe(true);
  expect(isSoftware('google swiftshader SwiftShader Device (Subzero)')).toBe(true);
  expect(isSoftware('nvidia hopper NVIDIA H100')).toBe(false);
});
