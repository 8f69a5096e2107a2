/**
 * @file ONNX models behind the interface that environments talk to: transformers.js over ONNX Runtime, in a page (WebGPU or
 * WebAssembly) or in a terminal. For baselines: what our own trainer has trained runs on our own kernels.
 *
 * transformers.js computes logits and keeps the cache; it chooses no token. Its sampler ignores top_p, truncates to 50
 * tokens unless told otherwise, follows penalties of generation_config.json and has no seeds: so a logits processor samples
 * with ours, and leaves one token to choose from.
 */
import type { ChatModel, Completion, CompletionRequest } from '../../envs';
import type { RandomKey } from '../../random';
import { ContextLengthError } from '../errors';
import { checkSampling } from '../generator';
import type { TokenSampling } from '../generator';
import type { Loaded } from './load';
import { sampleToken } from './sample';
import type { SampledToken } from './sample';

/** Everything of generate() that would change logits or choose for itself, switched off. */
const NEUTRAL = {
  do_sample: false,
  num_beams: 1,
  repetition_penalty: 1,
  no_repeat_ngram_size: 0,
  bad_words_ids: null,
  min_length: 0,
  min_new_tokens: null,
  forced_bos_token_id: null,
  forced_eos_token_id: null,
  suppress_tokens: null,
  begin_suppress_tokens: null,
  guidance_scale: null,
  eos_token_id: null,
} as const;

interface Generated {
  ids: number[];
  logprobs: number[];
  finishReason: 'stop' | 'length';
}

/** Made by `loadTransformers`. One sequence at a time: requests wait for each other. */
export class TransformersModel implements ChatModel {
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    readonly name: string,
    private readonly loaded: Loaded,
  ) {}

  /**
   * Renders the conversation, samples a reply, and returns it with its exact tokens and log-probabilities.
   * Without `maxTokens` a reply may fill the context.
   * @throws ContextLengthError, TokenizerError, NonFiniteLogitsError, RangeError for settings that make no sense; the
   * signal's reason
   */
  async complete(
    request: CompletionRequest,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<Completion> {
    const { messages, tools, key } = request;
    const { prompter, maxPositions } = this.loaded;
    const promptIds = prompter.promptIds(request);
    const {
      temperature = 1,
      topK = 0,
      topP = 1,
      minP = 0,
      maxTokens = maxPositions - promptIds.length,
    } = request.sampling;
    const sampling = { temperature, topK, topP, minP, maxTokens: Math.max(1, maxTokens), stopTokens: [] };
    checkSampling({ ...sampling, ...(request.sampling.maxTokens !== undefined && { maxTokens }) });
    if (promptIds.length + sampling.maxTokens > maxPositions) {
      throw new ContextLengthError(
        `prompt of ${promptIds.length} tokens + ${sampling.maxTokens} to generate; this model's context is ${maxPositions}`,
      );
    }
    const turn = this.#last.then(() => this.#generate(promptIds, sampling, key, signal));
    this.#last = turn.catch(() => undefined); // whoever asked is told
    const { ids, logprobs, finishReason } = await turn;
    const previousCalls = messages.reduce((sum, { toolCalls = [] }) => sum + toolCalls.length, 0);
    const message = prompter.parse(ids, { tools, previousCalls });
    return {
      message,
      finishReason: finishReason === 'stop' && message.toolCalls ? 'tool_calls' : finishReason,
      usage: { promptTokens: promptIds.length, completionTokens: ids.length },
      tokens: { promptIds, completionIds: ids, logprobs },
    };
  }

  /** Frees the model, after what is running. */
  async destroy(): Promise<void> {
    await this.#last;
    await this.loaded.model.dispose();
  }

  async #generate(
    promptIds: readonly number[],
    sampling: TokenSampling,
    key: RandomKey,
    signal: AbortSignal | undefined,
  ): Promise<Generated> {
    signal?.throwIfAborted();
    const { library, model, prompter } = this.loaded;
    const tokens: SampledToken[] = [];
    const stopping = new library.InterruptableStoppingCriteria();
    const outcome: { error?: unknown } = {};
    const stopped = () => prompter.stopTokens.includes(tokens.at(-1)!.id);
    const step = (logits: Float32Array): void => {
      // Nothing may be thrown from within generate(): it would keep its cache on the device.
      try {
        signal?.throwIfAborted();
        const token = sampleToken(logits, sampling, key, promptIds.length + tokens.length);
        tokens.push(token);
        logits.fill(-Infinity)[token.id] = 0;
        if (stopped() || tokens.length === sampling.maxTokens) stopping.interrupt();
      } catch (error) {
        outcome.error = error;
        stopping.interrupt();
      }
    };
    class Sampler extends library.LogitsProcessor {
      override _call<T extends { data: unknown }>(_ids: unknown, logits: T): T {
        step(logits.data as Float32Array);
        return logits;
      }
    }
    const processors = new library.LogitsProcessorList();
    processors.push(new Sampler());
    const shape = [1, promptIds.length];
    await model.generate({
      ...NEUTRAL,
      input_ids: new library.Tensor('int64', BigInt64Array.from(promptIds, BigInt), shape),
      attention_mask: new library.Tensor('int64', new BigInt64Array(promptIds.length).fill(1n), shape),
      max_new_tokens: sampling.maxTokens,
      logits_processor: processors,
      stopping_criteria: stopping,
    });
    if ('error' in outcome) throw outcome.error;
    signal?.throwIfAborted();
    return {
      ids: tokens.map(({ id }) => id),
      logprobs: tokens.map(({ logprob }) => logprob),
      finishReason: stopped() ? 'stop' : 'length',
    };
  }
}
