/**
 * @file Runs a suite: one evaluation after the other, each in a store of its own. What a store already holds is not played
 * again, so a suite that was killed goes on where it was, and its table is that of one that was not.
 */
import type { Environment } from '../environment';
import type { ChatModel, Completion } from '../types';
import { evaluate } from './evaluate';
import type { EvalProgress } from './evaluate';
import type { ResumeReport } from './resume';
import type { ResultStore } from './store';
import { SuiteError } from './suite_config';
import type { SuiteEntry } from './suite_config';
import type { SuiteResult } from './suite_table';

export interface SuiteEnvironment {
  env: Environment;
  version?: string | undefined;
  /** Where the suite says nothing. */
  defaults?: { numExamples?: number; rolloutsPerExample?: number };
}

/** What a suite needs of the place it runs in: a terminal, a page. */
export interface SuiteHost {
  /** Called for every entry before anything is played: a misspelt name costs nothing. */
  loadEnvironment(entry: SuiteEntry): SuiteEnvironment | Promise<SuiteEnvironment>;
  /** Called when an entry has rollouts to play; closed after them. */
  openModel(entry: SuiteEntry): Promise<{ model: ChatModel; close(): void }>;
  /** Where the entry's results go, by its id. */
  store(entry: SuiteEntry): ResultStore;
}

export interface SuiteOptions {
  /** Cancels. What is finished stays in the stores. */
  signal?: AbortSignal | undefined;
  onProgress?: ((entry: SuiteEntry, progress: EvalProgress) => void) | undefined;
  /** Called where an entry's store held something. */
  onResume?: ((entry: SuiteEntry, report: ResumeReport) => void) | undefined;
  /** Called after each entry with all results so far. */
  onResult?: ((results: readonly SuiteResult[]) => void | Promise<void>) | undefined;
}

const DEFAULTS = { numExamples: 5, rolloutsPerExample: 3, maxConcurrent: 32, maxRetries: 3 };

/**
 * Runs or goes on with a suite.
 * @returns a result per entry, in their order
 * @throws SuiteError naming the entry whose environment or model cannot be had; what `evaluate` throws
 */
export async function runSuite(
  entries: readonly SuiteEntry[],
  host: SuiteHost,
  options: SuiteOptions = {},
): Promise<SuiteResult[]> {
  const loaded: SuiteEnvironment[] = [];
  for (const entry of entries) loaded.push(await within(entry, () => host.loadEnvironment(entry)));
  const results: SuiteResult[] = [];
  for (const [i, entry] of entries.entries()) {
    results.push(await runEntry(entry, loaded[i]!, host, options));
    await options.onResult?.(results);
  }
  return results;
}

async function runEntry(
  entry: SuiteEntry,
  { env, version, defaults = {} }: SuiteEnvironment,
  host: SuiteHost,
  { signal, onProgress, onResume }: SuiteOptions,
): Promise<SuiteResult> {
  const controller = new AbortController();
  const model = new DeferredModel(entry.model, () =>
    within(entry, () => host.openModel(entry)).catch((error: unknown) => {
      controller.abort(error); // no rollout of this entry can be played, and none is to blame
      throw error;
    }),
  );
  try {
    const { summary, metadata } = await evaluate(env, model, {
      numExamples: entry.numExamples ?? defaults.numExamples ?? DEFAULTS.numExamples,
      rolloutsPerExample: entry.rolloutsPerExample ?? defaults.rolloutsPerExample ?? DEFAULTS.rolloutsPerExample,
      maxConcurrent: entry.maxConcurrent ?? DEFAULTS.maxConcurrent,
      maxRetries: entry.maxRetries ?? DEFAULTS.maxRetries,
      seed: entry.seed,
      shuffle: entry.shuffle,
      ...(entry.shuffleSeed !== undefined && { shuffleSeed: entry.shuffleSeed }),
      sampling: entry.sampling,
      signal: signal ? AbortSignal.any([signal, controller.signal]) : controller.signal,
      store: host.store(entry),
      resume: true,
      labels: {
        envArgs: entry.envArgs,
        baseUrl: entry.baseUrl ?? '',
        samplingArgs: entry.endpointSampling,
        ...(version !== undefined && { envVersion: version }),
      },
      onProgress: (progress) => onProgress?.(entry, progress),
      onResume: (report) => {
        if (report.kept + report.failed + report.dropped > 0) onResume?.(entry, report);
      },
    });
    return { entry, summary, metadata };
  } finally {
    await model.close();
  }
}

/** A model that is opened by its first request: an entry that is finished needs none. */
class DeferredModel implements ChatModel {
  #opened: Promise<{ model: ChatModel; close(): void }> | undefined;

  constructor(
    readonly name: string,
    private readonly open: () => Promise<{ model: ChatModel; close(): void }>,
  ) {}

  async complete(...args: Parameters<ChatModel['complete']>): Promise<Completion> {
    const { model } = await (this.#opened ??= this.open());
    return model.complete(...args);
  }

  async close(): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined); // whoever asked has been told
    opened?.close();
  }
}

/** Says which entry an error is about. */
async function within<T>(entry: SuiteEntry, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new SuiteError(`${entry.environment} with ${entry.model}: ${reason}`, { cause: error });
  }
}
