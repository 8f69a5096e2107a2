/** @file Sampled tokens per second: one stream, and many rollouts of one prompt. */
import { Weights, countParameters } from '../../src/model';
import { measure } from '../measure';
import type { Bench } from '../measure';
import { NoTransformersError, ourDecoders, transformersDecoder } from './decoders';
import type { Decoder } from './decoders';
import { DECODE_CONFIGS, promptOf } from './models';
import { makeDecodeReport } from './report';
import type { DecodeReport, Series } from './report';
import { quickWeights } from './weights';

export { DECODE_CONFIGS } from './models';
export { decodeProblems, formatDecode } from './report';
export type { DecodeReport } from './report';

const SEED = 1;

/** @param name of DECODE_CONFIGS */
export async function benchDecode(bench: Bench, name: string): Promise<DecodeReport> {
  const { gpu, options, say } = bench;
  const config = DECODE_CONFIGS[name]!;
  const rounds = options.quick ? 1 : (options.rounds ?? config.rounds);
  const empty = await Weights.create(gpu, config.model);
  const values = quickWeights(empty, SEED);
  empty.destroy();

  say(`decode ${name}: weights drawn`);
  const decoders: Decoder[] = await ourDecoders(gpu, config, values);
  const prompt = promptOf(config);
  let missing: string | null = null;
  let right: number[] | undefined;
  if (options.peers.includes('transformers.js')) {
    try {
      const onCpu = await transformersDecoder(config, values, 'cpu');
      [right] = await onCpu.generate(prompt, 1);
      await onCpu.destroy();
      say(`decode ${name}, transformers.js on the CPU: done`);
      decoders.push(await transformersDecoder(config, values));
    } catch (error) {
      if (!(error instanceof NoTransformersError)) throw error;
      say((missing = error.message));
    }
  }

  const counts = [1, config.rollouts];
  // Everything once before anything is measured: it is compiled and allocated then, and greedy sequences can be compared.
  const equal: SequencesEqual[] = [];
  for (const decoder of decoders) {
    const rows: number[][] = [];
    for (const rollouts of counts) rows.push(...(await decoder.generate(prompt, rollouts)));
    if (decoder.greedy && right) equal.push(compareRows(rows, right));
    say(`decode ${name}, ${decoder.name}: ready`);
  }
  const series: Series[] = counts.flatMap((rollouts) =>
    decoders.map((decoder) => ({ decoder: decoder.name, rollouts, ms: [], cpuMs: [] })),
  );
  for (let round = 0; round < rounds; round++) {
    for (const each of series) {
      const decoder = decoders.find(({ name }) => name === each.decoder)!;
      const cost = await measure(bench, () => decoder.generate(prompt, each.rollouts));
      each.ms.push(cost.wallMs);
      each.cpuMs.push(cost.cpuMs);
      const rate = (each.rollouts * config.newTokens) / (cost.wallMs / 1000);
      say(`decode ${name}, ${decoder.name}: ${each.rollouts} at once, ${rate.toFixed(1)} tokens/s`);
    }
  }
  for (const decoder of decoders) await decoder.destroy();
  return makeDecodeReport(
    {
      config: name,
      model: config.model,
      parameters: countParameters(config.model),
      promptTokens: config.promptTokens,
      newTokens: config.newTokens,
      rounds,
      equal: equal.length > 1 ? { ...equal[0]!, theirs: equal[1]!.sequences } : null,
      missing,
    },
    series,
  );
}

type SequencesEqual = Omit<NonNullable<DecodeReport['equal']>, 'theirs'>;

function compareRows(rows: readonly number[][], right: readonly number[]): SequencesEqual {
  const differences = rows.map((row) => row.findIndex((id, t) => id !== right[t])).filter((at) => at >= 0);
  return {
    sequences: rows.length - differences.length,
    of: rows.length,
    firstDifference: differences.length > 0 ? Math.min(...differences) : null,
  };
}
