/** @file Models with a text of their own on the GPU: sampled over turns, trained, exported, loaded again. */
import { expect, it } from 'vitest';
import { MultiTurnEnv, Rubric, generated, prefixBreaks, rowOf, summarize, tokenSamples } from '../../../src/envs';
import type { Message, State, Trace } from '../../../src/envs';
import type { Gpu } from '../../../src/kernels';
import { Generator, NativeModel, Weights, formatCheckpoint, initialValues, loadText } from '../../../src/model';
import type { FileSource, ModelConfig, TensorValues } from '../../../src/model';
import { deriveKey } from '../../../src/random';
import { Run, loadModel, resolveConfig, sftStep } from '../../../src/rl';
import type { RunEvent } from '../../../src/rl';
import { TINY } from '../../checks/generation';
import { CHATML, ROWS, textFolder } from '../../checks/text_folder';
import { testGpu } from '../../gpu';

const CONFIG: ModelConfig = { ...TINY, vocabSize: ROWS, maxPositions: 384, bosTokenId: 1, eosTokenId: 2 };

/** Its template strips the thinking of earlier turns. */
const STRIPS = textFolder('qwen-like');
const END_OF_THINKING = 700;

/** Random weights of a model that ends its thinking every now and then. */
function thinkingWeights(weights: Weights): TensorValues {
  const values = initialValues(weights, 5);
  const { values: embeddings } = values.get('model.embed_tokens.weight')!;
  const { hiddenSize } = CONFIG;
  for (let i = 0; i < hiddenSize; i++) embeddings[END_OF_THINKING * hiddenSize + i]! *= 11;
  return values;
}

/** Asks three questions, whatever the answers are. */
class Interview extends MultiTurnEnv {
  constructor() {
    super({
      name: 'interview',
      dataset: generated((index) => ({ question: `question ${index}` })),
      rubric: new Rubric({ length: ({ completion }) => completion[0]!.content.length / 1000 }),
      maxTurns: 3,
      sampling: { maxTokens: 24 },
      demonstrate: () => [
        { role: 'assistant', content: '<think>\na\n</think>\n\nb' },
        { role: 'user', content: 'and then?' },
        { role: 'assistant', content: 'c' },
      ],
    });
  }

  protected override envResponse({ turns }: State): Message[] {
    return [{ role: 'user', content: `and ${turns.length}?` }];
  }
}

async function interview(gpu: Gpu, folder: FileSource): Promise<{ model: NativeModel; traces: Trace[] }> {
  const weights = await Weights.create(gpu, CONFIG);
  weights.write(thinkingWeights(weights), 'random');
  const generator = await Generator.create(weights, { slots: 32 });
  const { chat } = await loadText(folder, CONFIG);
  const model = new NativeModel('m', chat, generator);
  const env = new Interview();
  const traces = await Promise.all(
    Array.from({ length: 24 }, async (_, i) =>
      env.rollout(await env.example(i), model, { draw: 0, rollout: 0, key: deriveKey(7, i) }),
    ),
  );
  generator.destroy();
  weights.destroy();
  return { model, traces };
}

it('a template that strips earlier thinking costs a sample where it strips, which is counted and shown', async () => {
  const { model, traces } = await interview(await testGpu(), STRIPS);
  const counts = traces.map((trace) => {
    expect(trace.error).toBeNull();
    const thought = trace.turns.slice(0, -1).map((_, i) => trace.completion[2 * i]!.content.includes('</think>'));
    // Each turn knows whether it could go on; where not, it begins with the conversation as it is rendered now.
    expect(trace.turns.map(({ breaksPrefix = false }) => breaksPrefix)).toEqual([false, ...thought]);
    for (const { breaksPrefix, tokens, promptMessages } of trace.turns) {
      if (!breaksPrefix) continue;
      const before = [...trace.prompt, ...trace.completion].slice(0, promptMessages);
      expect(tokens!.promptIds).toEqual(model.chat.render(before));
    }
    const breaks = thought.filter(Boolean).length;
    expect(prefixBreaks(trace.turns)).toBe(breaks);
    const samples = tokenSamples(trace);
    expect(samples).toHaveLength(breaks + 1);
    const sampled = trace.turns.flatMap(({ tokens }) => tokens!.completionIds);
    expect(samples.flatMap(({ ids, mask }) => ids.filter((_, i) => mask[i] === 1))).toEqual(sampled);
    return samples.length;
  });
  expect(new Set(counts)).toEqual(new Set([1, 2, 3])); // the test has seen all cases
  const total = counts.reduce((sum, samples) => sum + samples - 1, 0);
  expect(summarize(traces).prefixBreaks).toBe(total);
  // Results on disk say it without the tokens.
  const saved = traces.flatMap((trace) => rowOf(trace).terrarium.turns);
  expect(saved.filter((turn) => turn.breaks_prefix)).toHaveLength(total);
  expect(saved.some((turn) => turn.prompt_ids)).toBe(false);
});

it('a template that keeps what was said costs none', async () => {
  const folder = textFolder('qwen-like', { 'chat_template.jinja': CHATML });
  const { traces } = await interview(await testGpu(), folder);
  expect(traces.some(({ completion }) => completion[0]!.content.includes('</think>'))).toBe(true);
  expect(traces.map((trace) => tokenSamples(trace).length)).toEqual(traces.map(() => 1));
  expect(summarize(traces).prefixBreaks).toBe(0);
});

it('a folder with a text of its own is trained, exported with its files, and loaded again', async () => {
  const gpu = await testGpu();
  const weights = await Weights.create(gpu, CONFIG);
  const own = formatCheckpoint(CONFIG, thinkingWeights(weights));
  weights.destroy();
  const folder: FileSource = { name: 'm', read: async (file) => own.get(file) ?? STRIPS.read(file) };
  const settings = resolveConfig({
    env: 'even-digits',
    start: 'm',
    grpo: { steps: 2, batch_size: 16, group_size: 8, lr: 1e-5 },
    eval: { examples: 4, interval: 10 },
  });
  const sources = { starter: () => Promise.resolve(undefined), folder: () => Promise.resolve(folder) };
  const run = await Run.create(gpu, settings, sources, new Interview());
  const events: RunEvent[] = [];
  for await (const event of run.events()) events.push(event);
  const steps = events.flatMap((event) => (event.event === 'step' ? [event] : []));
  expect(steps).toHaveLength(2);
  for (const step of steps) {
    expect(step.errors).toBe(0);
    expect(step.prefixBreaks).toBeGreaterThan(0);
    expect(step.update!.finite).toBe(true);
    expect(step.update!.maxLogRatio).toBeLessThan(1e-3);
  }
  // Supervised steps learn what the template leaves of the demonstrations.
  const losses: number[] = [];
  for (let i = 0; i < 4; i++) {
    const options = { first: 0, batchSize: 4, seed: 1, careless: 0, lr: 3e-3 };
    losses.push((await sftStep(run.policy, new Interview(), options)).loss);
  }
  expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.1);

  const exported = await run.policy.export();
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    expect(exported.get(file)).toEqual(await folder.read(file));
  }
  const again = await loadModel({ name: 'again', read: (file) => Promise.resolve(exported.get(file)) });
  const messages: Message[] = [{ role: 'user', content: 'hi' }];
  expect(again.text.chat.render(messages)).toEqual(run.policy.text.chat.render(messages));
  run.destroy();
});
