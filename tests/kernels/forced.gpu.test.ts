/** @file Every kernel that a tuner may choose, forced one by one and mixed: the oracle's results, and the base kernel's bits. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Gpu, MatmulChoice, Tuner } from '../../src/kernels';
import { BASE_MATMUL } from '../../src/kernels/matmul';
import { MATMUL_VARIANTS, canDo } from '../../src/kernels/matmul_variants';
import { Generator } from '../../src/model';
import type { GenerationRequest } from '../../src/model';
import { deriveKey } from '../../src/random';
import { ODD, TINY, randomModel } from '../checks/generation';
import { variantsOf, withVariant } from '../checks/kernels_variants';
import { backwardCheck, forwardCheck } from '../checks/oracle_model';
import { failures } from '../checks/report';
import type { CheckCase } from '../checks/report';
import { ORACLE_DIR, testGpu } from '../gpu';

/** Biases in its projections, four layers' worth of shapes, and small: some variants take seconds to compile. */
const MODEL = 'qwen2-tiny';
const LOSS = 'sft';

/** An oracle of one model and one loss. */
let dir: string;
let gpu: Gpu;
let base: CheckCase[];

const checks = async () => [...(await forwardCheck.run(gpu, dir)), ...(await backwardCheck.run(gpu, dir))];

beforeAll(async () => {
  gpu = await testGpu();
  dir = mkdtempSync(join(tmpdir(), 'forced-'));
  const { backward } = JSON.parse(readFileSync(join(ORACLE_DIR, 'cases.json'), 'utf8')) as {
    backward: Record<string, { inputs: string; losses: Record<string, { file: string }> }>;
  };
  const { inputs, losses } = backward[MODEL]!;
  const loss = losses[LOSS]!;
  for (const path of [`models/${MODEL}`, `forward/${MODEL}.safetensors`, inputs, loss.file]) {
    mkdirSync(join(dir, dirname(path)), { recursive: true });
    cpSync(join(ORACLE_DIR, path), join(dir, path), { recursive: true });
  }
  writeFileSync(
    join(dir, 'cases.json'),
    JSON.stringify({ backward: { [MODEL]: { inputs, losses: { [LOSS]: loss } } } }),
  );
  base = await withVariant(gpu, undefined, checks);
});
afterAll(() => rmSync(dir, { recursive: true }));

it('every variant but those that need what this adapter lacks is forced below', () => {
  expect(failures(base)).toEqual([]);
  expect(base.length).toBeGreaterThan(20);
  const left = MATMUL_VARIANTS.filter((variant) => variant !== BASE_MATMUL && !variantsOf(gpu).includes(variant));
  if (gpu.device.features.has('subgroups')) expect(left).toEqual([]);
  else expect(left.every(({ name }) => name.startsWith('lanes'))).toBe(true);
});

it.each(MATMUL_VARIANTS.slice(1).map((variant) => [variant.name, variant] as const))(
  '%s forced: results within the oracle’s tolerances, and those of the base kernel to the last bit',
  async (_, variant) => {
    if (!variantsOf(gpu).includes(variant)) return;
    const compile = vi.spyOn(gpu, 'compile');
    const cases = await withVariant(gpu, variant, checks);
    const used = compile.mock.calls.some(([kernel]) => kernel === variant.kernel);
    compile.mockRestore();
    expect(used).toBe(true);
    expect(failures(cases)).toEqual([]);
    expect(cases).toEqual(base); // errors are sums over every element
  },
);

it('tokens and log-probabilities do not depend on which kernels a tuner mixes', async () => {
  const named = (name: string) => MATMUL_VARIANTS.find((variant) => variant.name === name)!;
  const mixed: Tuner = {
    matmul: (problem) => {
      const can = (name: string) => (canDo(named(name), problem, gpu.device.features) ? named(name) : BASE_MATMUL);
      const choices: MatmulChoice[] = [{ variant: can('lanes 64 by 8'), upTo: Infinity }];
      if (problem.few) {
        choices.unshift(
          { variant: can('lanes 8 by 1'), upTo: 1 },
          { variant: can('columns 16'), upTo: 4 },
          { variant: can('lanes 8 by 4'), upTo: 6 },
        );
      }
      return Promise.resolve(choices);
    },
  };
  for (const config of [TINY, ODD]) {
    const requests: GenerationRequest[] = Array.from({ length: 9 }, (_, i) => ({
      promptIds: Array.from({ length: 3 + 5 * i }, (_, j) => (7 * i + 3 * j) % config.vocabSize),
      key: deriveKey(1, i),
      // They end one after the other, so that every number of rows from nine to one occurs.
      sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 4 + 2 * i, stopTokens: [] },
    }));
    const generate = async (tuner: Tuner | undefined) => {
      gpu.tuner = tuner;
      const weights = await randomModel(gpu, config);
      const generator = await Generator.create(weights);
      gpu.tuner = undefined;
      const tokens = await Promise.all(requests.map((request) => generator.generate(request)));
      generator.destroy();
      weights.destroy();
      return tokens.map(({ ids, logprobs }) => ({ ids, logprobs }));
    };
    expect(await generate(mixed)).toEqual(await generate(undefined));
  }
});
