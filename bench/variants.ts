/**
 * @file `variants.mjs`: what every kernel that a tuner may choose makes of typical products on this adapter, in turns.
 * Usage: node variants.mjs [--rounds 7] [LAYOUT,m,n,k[,storage] ...]
 */
import { parseArgs } from 'node:util';
import { acquireNodeGpu } from '../cli/dawn';
import type { MatmulProblem } from '../src/kernels';
import { MatmulTrial } from '../src/kernels/matmul_trial';
import { MATMUL_VARIANTS, canDo } from '../src/kernels/matmul_variants';
import { median } from './statistics';
import { markdownTable } from './table';

/** A sample takes about as long as this many operations do, so that a round trip to the device does not count. */
const SAMPLE_FLOPS = 1e8;

/** Layers of M and of SmolLM2-135M: forward, both gradients, and decode with few rows. */
const USUAL = [
  ...['NT,2048,384,128', 'NN,2048,128,384', 'TN,384,128,2048', 'TN,64,64,2048'],
  ...[
    'NT,1,1536,576',
    'NT,4,1536,576',
    'NT,16,1536,576',
    'NT,1,1536,576,bf16',
    'NT,16,1536,576,bf16',
    'NT,64,1536,576,bf16',
  ],
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '7' } },
});

function problemOf(text: string): MatmulProblem {
  const [layout, m, n, k, storage = 'f32'] = text.split(',');
  const sizes = [m, n, k].map(Number);
  if (!['NT', 'NN', 'TN'].includes(layout!) || !sizes.every((size) => Number.isInteger(size) && size > 0)) {
    throw new Error(`${text}: not LAYOUT,m,n,k as in NT,2048,384,128`);
  }
  return {
    layout: layout as MatmulProblem['layout'],
    storage: storage as MatmulProblem['storage'],
    aligned: sizes.every((size) => size % 4 === 0) || sizes[0] === 1,
    ...{ m: sizes[0]!, n: sizes[1]!, k: sizes[2]!, few: false },
  };
}

const gpu = await acquireNodeGpu();
process.stdout.write(`GFLOP/s on ${gpu.adapterName}; medians of ${values.rounds}, in turns\n\n`);
const texts = positionals.length > 0 ? positionals : USUAL;
const rates = new Map(MATMUL_VARIANTS.map((variant) => [variant, [] as string[]]));
for (const text of texts) {
  const problem = problemOf(text);
  const trial = await MatmulTrial.large(gpu, problem, problem.m);
  const repeats = Math.ceil(SAMPLE_FLOPS / trial.flops);
  const able = MATMUL_VARIANTS.filter((variant) => canDo(variant, problem, gpu.device.features));
  const entries = [];
  for (const variant of able) entries.push({ variant, compiled: await trial.compile(variant), ms: [] as number[] });
  for (const { variant, compiled } of entries) await trial.time(compiled, variant, 1);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const { variant, compiled, ms } of entries) ms.push((await trial.time(compiled, variant, repeats)) / repeats);
  }
  for (const [variant, cells] of rates) {
    const entry = entries.find((each) => each.variant === variant);
    cells.push(entry ? (trial.flops / median(entry.ms) / 1e6).toPrecision(3) : '');
  }
  trial.destroy();
}
const rows = [...rates].map(([{ name }, cells]) => [name, ...cells]);
process.stdout.write(
  markdownTable(['kernel', ...texts.map((text) => text.replace(',', ' ').replaceAll(',', '×'))], rows),
);
process.exit(0);
