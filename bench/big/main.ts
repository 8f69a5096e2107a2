/**
 * @file `npm run bench:big`: real models' shapes with random weights. SmolLM2-135M: load, 32 tokens for each of 16 rollouts,
 * one LoRA step, one full step; Qwen3-0.6B: load, generate, one LoRA step. Fails when memory is not as planned.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { acquireNodeGpu } from '../../cli/dawn';
import { measureBig } from './measure';
import type { BigResult } from './measure';
import { BIG_MODELS } from './models';
import { bigTable } from './report';
import type { BigReport } from './report';

const USAGE = `npm run bench:big -- [options]

  --only NAME       one of ${Object.keys(BIG_MODELS).join(', ')}
  --tokens N        tokens of a training step (default: 128 on a CPU adapter, 1024 on a GPU)
  --generate N      tokens of each rollout (default 32)
  --json FOLDER     where the figures are written (default bench/results)
`;

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      tokens: { type: 'string' },
      generate: { type: 'string' },
      json: { type: 'string', default: 'bench/results' },
      help: { type: 'boolean', default: false },
    },
  });
  const names = Object.keys(BIG_MODELS).filter((name) => values.only === undefined || name === values.only);
  if (values.help || names.length === 0) {
    process.stderr.write(USAGE);
    return values.help ? 0 : 2;
  }
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const gpu = await acquireNodeGpu();
  say(gpu.adapterName);
  const software = /llvmpipe|lavapipe|swiftshader/i.test(gpu.adapterName);
  const stepTokens = values.tokens === undefined ? (software ? 128 : 1024) : Number(values.tokens);
  const results: BigResult[] = [];
  for (const name of names) {
    const model = BIG_MODELS[name]!;
    const generate = values.generate === undefined ? model.tokens : Number(values.generate);
    results.push(await measureBig(gpu, model, 'lora', { stepTokens, generate, say }));
    if (model.full) results.push(await measureBig(gpu, model, 'full', { stepTokens, generate: 0, say }));
  }
  const report: BigReport = {
    benchmark: 'big',
    adapter: gpu.adapterName,
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: cpus().length,
    results,
  };
  process.stdout.write(bigTable(results));
  mkdirSync(values.json, { recursive: true });
  const file = join(values.json, `big-${software ? 'lavapipe' : 'gpu'}.json`);
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  say(`written to ${file}`);
  return 0;
}

// Dawn keeps the process alive while its GPU object lives: leave explicitly.
process.exit(await main(process.argv.slice(2)));
