/**
 * @file `rollouts.mjs`: multi-turn rollouts of wiki-search-mini on our own client, many in flight against one at a time.
 * Usage: node rollouts.mjs [starter folder] [--rollouts 200] [--in-flight 64] [--alone 12]
 */
import { parseArgs } from 'node:util';
import { acquireNodeGpu } from '../cli/dawn';
import { diskFolder } from '../cli/files';
import { completionTokens, evaluate, libraryEntry } from '../src/envs';
import { Policy, loadModel, resolveConfig } from '../src/rl';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rollouts: { type: 'string', default: '200' },
    'in-flight': { type: 'string', default: '64' },
    alone: { type: 'string', default: '12' },
  },
});

const gpu = await acquireNodeGpu();
const { optimizer } = resolveConfig({ env: 'wiki-search-mini' });
const { config, text, tensors, source } = await loadModel(diskFolder(positionals[0] ?? 'starters/wiki-search-mini'));
const policy = await Policy.create(gpu, config, text, {
  microBatchTokens: 512,
  optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: optimizer.weight_decay, maxNorm: 1 },
});
policy.setWeights(tensors, source);
const env = libraryEntry('wiki-search-mini').load();

/** Sampled tokens per second, and every rollout's tokens. */
async function measure(numExamples: number, maxConcurrent: number) {
  const started = performance.now();
  const { traces } = await evaluate(env, policy.chatModel(), { numExamples, maxConcurrent, seed: 1 });
  const seconds = (performance.now() - started) / 1000;
  const tokens = traces.reduce((sum, trace) => sum + completionTokens(trace), 0);
  const ids = traces.map(({ turns }) =>
    JSON.stringify(turns.map((turn) => [turn.tokens?.completionIds, turn.tokens?.logprobs])),
  );
  return { rate: tokens / seconds, tokens, seconds, ids };
}

await measure(8, 8); // compiles
const many = await measure(Number(values.rollouts), Number(values['in-flight']));
const alone = await measure(Number(values.alone), 1);
const different = alone.ids.filter((ids, i) => ids !== many.ids[i]).length;
process.stdout.write(
  `${gpu.adapterName}\n` +
    `${values['in-flight']} in flight: ${many.rate.toFixed(0)} tokens/s (${many.tokens} tokens of ${values.rollouts} rollouts, ${many.seconds.toFixed(1)} s)\n` +
    `one at a time: ${alone.rate.toFixed(0)} tokens/s; ratio ${(many.rate / alone.rate).toFixed(1)}\n` +
    `rollouts alone that differ in a token or a log-probability: ${different} of ${values.alone}\n`,
);
process.exit(different === 0 ? 0 : 1);
