/** @file passk.json: pass@k, pass^k and running means over the outputs of an evaluation. */
import { outputMeans, passAtK, passHatK, passRates } from '../../src/envs/eval/pass_at_k';
import type { RolloutOutput } from '../../src/envs/eval/pass_at_k';
import { readJsonFile } from './files';
import { golden, outcome } from './golden';
import type { GoldenCase } from './golden';

interface PassFile {
  cases: {
    id: string;
    rollouts_per_example: number;
    threshold?: number;
    outputs: RolloutOutput[];
    expected?: { pass_at_k: Record<string, number>; pass_all_k: Record<string, number> };
    raises?: { type: string; message: string };
  }[];
  running_means: { outputs: RolloutOutput[]; expected: Record<string, unknown> }[];
}

const FILE = 'passk.json';

/** Every list of verifiers' passk.json. */
export function passkCases(dir: string): GoldenCase[] {
  const { cases, running_means: means } = readJsonFile(dir, FILE) as PassFile;
  return [
    ...cases.map((test) => {
      const { rollouts_per_example: rolloutsPerExample, threshold, outputs, expected, raises } = test;
      const got = outcome(() => {
        const rates = passRates(outputs, { rolloutsPerExample, ...(threshold === undefined ? {} : { threshold }) });
        return { pass_at_k: rates.passAtK, pass_all_k: rates.passAllK };
      });
      return golden(FILE, `cases ${test.id}`, got, raises ? { raises: raises.message } : { value: expected });
    }),
    ...means.map(({ outputs, expected }, i) => {
      const { reward, errorRate, inputTokens, outputTokens, metrics } = outputMeans(outputs);
      const got = {
        reward: reward.mean,
        reward_count: reward.count,
        error_rate: errorRate.mean,
        error_rate_count: errorRate.count,
        input_tokens: inputTokens.mean,
        input_tokens_count: inputTokens.count,
        output_tokens: outputTokens.mean,
        output_tokens_count: outputTokens.count,
        env_metrics: Object.fromEntries(Object.entries(metrics).map(([name, { mean }]) => [name, mean])),
      };
      return golden(FILE, `running_means ${i}`, got, expected);
    }),
  ];
}

/**
 * Another passk.json, a table of n, c and k computed with exact binomials and rounded to 11 digits.
 * @param dir where it is: not among verifiers' fixtures
 */
export function passTableCases(dir: string): GoldenCase[] {
  const table = readJsonFile(dir, FILE) as { n: number; c: number; k: number; pass_at_k: number; pass_hat_k: number }[];
  return table.flatMap(({ n, c, k, pass_at_k: at, pass_hat_k: hat }) => [
    golden(FILE, `pass@${k} of ${c}/${n}`, passAtK(n, c, k), at),
    golden(FILE, `pass^${k} of ${c}/${n}`, passHatK(n, c, k), hat),
  ]);
}
