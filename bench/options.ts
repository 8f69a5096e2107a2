/** @file What the benchmark is asked to do. */
import { parseArgs } from 'node:util';

export const PARTS = ['train', 'matmul', 'decode', 'grpo', 'steady'] as const;
export type Part = (typeof PARTS)[number];

export const ADAPTERS = ['default', 'lavapipe', 'swiftshader'] as const;
export type AdapterChoice = (typeof ADAPTERS)[number];

/** Who is measured beside us. */
export const PEERS = ['jax-js', 'tfjs', 'transformers.js'] as const;
export type Peer = (typeof PEERS)[number];

export interface BenchOptions {
  parts: Part[];
  adapter: AdapterChoice;
  /** Models by name; each part has its own default. */
  configs: string[] | undefined;
  peers: Peer[];
  /** Seconds instead of minutes: the smallest shapes, once. Figures of such a run mean nothing. */
  quick: boolean;
  /** Milliseconds that choosing our kernels may take; 0: the base kernels. */
  tunerMs: number | undefined;
  rounds: number | undefined;
  steps: number | undefined;
  json: string | undefined;
}

export const USAGE = `npm run bench -- [options]

  --only PART,...       ${PARTS.join(', ')} (default: all)
  --adapter NAME        ${ADAPTERS.join(', ')}
  --config NAME,...     models to train (XS, S, M, L; default S,M) and to decode (XS, M, SmolLM2-135M; default the last two)
  --peers NAME,...      ${PEERS.join(', ')} (default: all); "none" for ours alone
  --tuner MS            how long choosing our kernels may take (default 2000; 0: the base kernels); nothing is remembered
  --rounds N            rounds of the interleaving
  --steps N             measured steps per trainer and round
  --quick               seconds instead of minutes; proves that everything runs and agrees, and measures nothing
  --json FILE           add the figures to this file, or to the adapter's in this folder (default: bench/results)
  --write-docs          write docs/PERFORMANCE.md from bench/results instead of measuring
`;

/** The command line makes no sense: it says which option, what it was given and what it takes. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** @throws UsageError; Error of node:util for options that there are not */
export function parseOptions(args: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      adapter: { type: 'string', default: 'default' },
      config: { type: 'string' },
      peers: { type: 'string' },
      tuner: { type: 'string' },
      rounds: { type: 'string' },
      steps: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    parts: values.only === undefined ? [...PARTS] : several('--only', values.only, PARTS),
    adapter: several('--adapter', values.adapter, ADAPTERS, 1)[0]!,
    configs: values.config?.split(','),
    peers:
      values.peers === undefined ? [...PEERS] : values.peers === 'none' ? [] : several('--peers', values.peers, PEERS),
    quick: values.quick,
    tunerMs: count('--tuner', values.tuner, 0),
    rounds: count('--rounds', values.rounds),
    steps: count('--steps', values.steps),
    json: values.json,
  };
}

function several<T extends string>(option: string, given: string, known: readonly T[], most = Infinity): T[] {
  const names = given.split(',');
  const unknown = names.find((name) => !known.includes(name as T));
  if (unknown !== undefined || names.length > most) {
    throw new UsageError(`${option} ${given}: ${most === 1 ? 'one' : 'some'} of ${known.join(', ')}`);
  }
  return [...new Set(names)] as T[];
}

function count(option: string, given: string | undefined, least = 1): number | undefined {
  if (given === undefined) return undefined;
  const value = Number(given);
  if (!Number.isInteger(value) || value < least) {
    throw new UsageError(`${option} ${given}: not a whole number from ${least} on`);
  }
  return value;
}
