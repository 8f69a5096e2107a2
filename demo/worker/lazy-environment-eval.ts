/** @file Plays an evaluation in an environment of the library and tells the page, in batches, how it goes. */
import { strToU8, zipSync } from 'fflate';
import { MemoryStore, evaluate, libraryEntry } from '../../src/envs';
import type { ChatModel, EvalProgress, Trace } from '../../src/envs';
import type { EnvironmentEval, EnvironmentNews, PhaseNews } from '../environments_protocol';

/** Milliseconds between two batches of news. */
const BATCH_MS = 100;

/** A model of the run that is open. */
export interface LocalModel {
  model: ChatModel;
  tokens: readonly string[];
  step: number;
  /** @throws DeviceLostError: what was played on a lost device says nothing */
  check: () => void;
}

type Post = (news: EnvironmentNews, transfer?: Transferable[]) => void;

/** @throws EnvironmentOptionsError, EvaluationError, ModelGoneError, DeviceLostError, TypeError, the signal's reason */
export async function evaluateEnvironment(
  request: EnvironmentEval,
  local: LocalModel | undefined,
  signal: AbortSignal,
  post: Post,
): Promise<void> {
  const { id, env: name, options, rollouts, temperature, atOnce, seed } = request;
  const env = libraryEntry(name).load(options);
  const { model, close, baseUrl } = local ? { model: local.model } : await openModel(request, signal, post);
  const { passThreshold } = env;
  const step = local?.step ?? null;
  post({ what: 'begun', id, model: model.name, step, tokens: local?.tokens ?? [], passThreshold });
  const news = new NewsBatch(id, post);
  const store = new MemoryStore();
  try {
    const { summary } = await evaluate(env, model, {
      numExamples: Math.min(request.examples, env.evalDataset.length),
      rolloutsPerExample: rollouts,
      maxConcurrent: atOnce,
      seed,
      sampling: { temperature, ...request.sampling },
      maxRetries: 0, // an endpoint's client tries again by itself, and our own model would fail again
      signal,
      onPhase: (exampleId, rollout, phase) => news.phase({ exampleId, rollout, phase }),
      onTrace: (trace) => news.trace(trace),
      onProgress: (progress) => news.progress(progress),
      store,
      labels: { envArgs: options, ...(baseUrl !== undefined && { baseUrl }) },
    });
    local?.check();
    news.flush();
    const folder = `${name}-${model.name.replaceAll(/[^\w.-]+/g, '-')}-seed${seed}`;
    const bytes = zipSync({
      [`${folder}/results.jsonl`]: strToU8(store.results),
      [`${folder}/metadata.json`]: strToU8(store.metadata ?? '{}'),
    });
    post({ what: 'done', id, summary, files: { name: `${folder}-eval.zip`, bytes } }, [bytes.buffer]);
  } finally {
    news.flush(); // what was finished stays, whatever happened
    await env.teardown();
    await close?.();
  }
}

/** A model that is not of the run. */
interface OpenedModel {
  model: ChatModel;
  baseUrl?: string;
  /** Frees what it holds. */
  close?: () => Promise<void>;
}

async function openModel({ id, model }: EnvironmentEval, signal: AbortSignal, post: Post): Promise<OpenedModel> {
  switch (model.kind) {
    case 'endpoint': {
      const { baseUrl, name, apiKey, tokenIds } = model;
      const { OpenAIModel } = await import('../../src/envs/library/continuation/lazy-endpoint'); // the judge's, too
      return { model: new OpenAIModel({ baseUrl, model: name, apiKey, tokenIds }), baseUrl };
    }
    case 'onnx': {
      const { source, device, dtype } = model;
      if (source.includes(':')) {
        throw new Error(
          `${source}: an ONNX model is named as on the hub (owner/name), or by a path on this page's server`,
        );
      }
      const { loadOnnx } = await import('./lazy-onnx');
      const onnx = await loadOnnx({
        name: source,
        source,
        local: /^[./]/.test(source),
        device,
        dtype,
        onProgress: (progress) => post({ what: 'loading', id, ...progress }),
        signal,
      });
      return { model: onnx, close: () => onnx.destroy() };
    }
    case 'current':
    case 'start':
      throw new Error('there is no model to evaluate');
  }
}

/** News on their way to the page: a message for each would keep it from drawing. */
class NewsBatch {
  #phases = new Map<string, PhaseNews>();
  #traces: Trace[] = [];
  #progress: EvalProgress | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly id: number,
    private readonly post: Post,
  ) {}

  /** Of the phases of one rollout only the newest counts. */
  phase(news: PhaseNews): void {
    this.#phases.set(`${news.exampleId} ${news.rollout}`, news);
    this.#soon();
  }

  trace(trace: Trace): void {
    this.#phases.delete(`${trace.exampleId} ${trace.rollout}`);
    this.#traces.push(trace);
    this.#soon();
  }

  progress(progress: EvalProgress): void {
    this.#progress = progress;
    this.#soon();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [phases, traces, progress] = [[...this.#phases.values()], this.#traces, this.#progress];
    this.#phases = new Map();
    this.#traces = [];
    this.#progress = null;
    if (phases.length + traces.length === 0 && !progress) return;
    this.post({ what: 'played', id: this.id, phases, traces, progress });
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }
}
