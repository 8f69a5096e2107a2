/** @file A suite in the page: its evaluations one after the other, and the table of what they came to. */
import { TomlError, parse } from 'smol-toml';
import { SuiteError, formatSuiteCsv, formatSuiteMarkdown, parseSuite, suiteTable } from '../../src/envs';
import type { SuiteEntry, SuiteResult, SuiteTable } from '../../src/envs';
import type { EvalModel } from '../environments_protocol';
import type { EnvironmentEvals, EvalOrder, ShownEval } from './environment_evals.svelte';

/** To begin with: the page's model, trained and not, in its environment. */
export const EXAMPLE = `# Models: "current" and "start" are those of this page; "owner/name" is an ONNX model of the hub;
# with api_base_url it is one behind an endpoint.
model = ["start", "current"]
num_examples = 50
rollouts_per_example = 1

[[eval]]
env_id = "reverse-text"

[[ablation]]
env_id = "letter-sort"
[ablation.sweep]
temperature = [0.0, 1.0]
`;

/** Where the file says nothing, as in the terminal. */
const DEFAULTS = { examples: 5, rollouts: 3, atOnce: 32 };

/** Rollouts in flight at most, as in the form for one evaluation. */
const AT_ONCE = 256;

export class SuiteRun {
  status = $state<'idle' | 'playing' | 'done' | 'cancelled' | 'failed'>('idle');
  message = $state('');
  done = $state(0);
  total = $state(0);
  table = $state.raw<SuiteTable | null>(null);
  #current: ShownEval | undefined;

  constructor(private readonly evals: EnvironmentEvals) {}

  /** Plays a suite to its end; an evaluation that fails ends it, and what was finished before stays. */
  async play(text: string, apiKey: string): Promise<void> {
    this.table = null;
    this.message = '';
    this.done = 0;
    this.status = 'playing';
    try {
      const orders = parseSuite(readToml(text), 'suite').map((entry) => ({ entry, order: orderOf(entry, apiKey) }));
      this.total = orders.length;
      const results: Pick<SuiteResult, 'entry' | 'summary'>[] = [];
      for (const { entry, order } of orders) {
        this.#current = this.evals.start(order);
        const { status, message, summary } = await this.#current.ended;
        if (status === 'cancelled') {
          this.status = 'cancelled';
          return;
        }
        if (!summary) throw new SuiteError(`${entry.environment} with ${entry.model}: ${message}`);
        results.push({ entry, summary });
        this.table = suiteTable(results);
        this.done++;
      }
      this.status = 'done';
    } catch (error) {
      this.status = 'failed';
      this.message = error instanceof Error ? error.message : String(error);
    }
  }

  /** Ends the evaluation under way, and with it the suite. */
  cancel(): void {
    if (this.#current) this.evals.cancel(this.#current);
  }

  /** The table as a file. */
  file(format: 'csv' | 'md'): { name: string; bytes: Uint8Array<ArrayBuffer> } {
    const text = format === 'csv' ? formatSuiteCsv(this.table!) : formatSuiteMarkdown(this.table!);
    return { name: `suite.${format}`, bytes: new TextEncoder().encode(text) };
  }
}

function readToml(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new SuiteError(`line ${error.line}: ${error.message.split('\n')[0]}`);
  }
}

/** @throws SuiteError for what the page cannot do */
function orderOf(entry: SuiteEntry, apiKey: string): EvalOrder {
  const what = `${entry.environment} with ${entry.model}`;
  if (entry.shuffle) throw new SuiteError(`${what}: tasks are shuffled in the terminal only`);
  if (entry.numExamples === -1) throw new SuiteError(`${what}: say how many examples; all of them is for the terminal`);
  return {
    env: entry.environment,
    options: entry.envArgs,
    model: modelOf(entry, apiKey),
    examples: entry.numExamples ?? DEFAULTS.examples,
    rollouts: entry.rolloutsPerExample ?? DEFAULTS.rollouts,
    temperature: entry.sampling.temperature ?? 1,
    sampling: entry.sampling,
    atOnce: Math.min(entry.maxConcurrent ?? DEFAULTS.atOnce, AT_ONCE),
    seed: entry.seed,
  };
}

function modelOf({ model, baseUrl }: SuiteEntry, apiKey: string): EvalModel {
  if (baseUrl !== undefined) return { kind: 'endpoint', baseUrl, name: model, apiKey, tokenIds: false };
  if (model === 'current' || model === 'start') return { kind: model };
  return { kind: 'onnx', source: model, device: 'webgpu', dtype: 'fp32' };
}
