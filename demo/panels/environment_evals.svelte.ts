/** @file The page's picture of the evaluations in environments of the library. */
import type { EvalProgress, Summary, Trace } from '../../src/envs';
import type { EnvironmentEval, EnvironmentNews, EvalModel } from '../environments_protocol';
import type { Trainer } from '../trainer.svelte';
import { withNews } from './rollout_list';
import type { RolloutRow } from './rollout_list';

/** Evaluations with all their rollouts that are kept for looking at. */
const KEPT = 8;

/** What is asked for. */
export type EvalOrder = Omit<EnvironmentEval, 'id'>;

/** One evaluation, from the order to the result. */
export class ShownEval {
  status = $state<'waiting' | 'loading' | 'playing' | 'done' | 'cancelled' | 'failed'>('waiting');
  message = $state('');
  /** A file of the model that is on its way. */
  loading = $state.raw<{ file: string; loaded: number; total: number } | null>(null);
  progress = $state.raw<EvalProgress | null>(null);
  /** In the order of the tasks. */
  rows = $state.raw<readonly RolloutRow[]>([]);
  summary = $state.raw<Summary | null>(null);
  files = $state.raw<{ name: string; bytes: Uint8Array<ArrayBuffer> } | null>(null);
  step = $state<number | null>(null);
  tokens: readonly string[] = [];
  /** Settles with itself when there is nothing more to come. */
  readonly ended: Promise<this>;
  #settle!: () => void;
  passThreshold = $state(1);

  /** @param order without the key of an endpoint, which nothing here needs */
  constructor(
    readonly id: number,
    readonly order: Omit<EvalOrder, 'model'>,
    readonly kind: EvalModel['kind'],
    /** Of a model that is not of the page's run. */
    readonly foreign: string,
  ) {
    this.ended = new Promise((resolve) => (this.#settle = () => resolve(this)));
  }

  get title(): string {
    const { env, examples, rollouts, temperature } = this.order;
    const current = this.step === null ? 'weights as they are' : `weights of step ${this.step}`;
    const weights = this.kind === 'start' ? 'starting weights' : current;
    const model = this.foreign || weights;
    const sampling = temperature === 0 ? 'greedy' : `T=${temperature}`;
    return `${this.id}. ${env}, ${model}, ${examples} × ${rollouts}, ${sampling}`;
  }

  get traces(): Trace[] {
    return this.rows.flatMap(({ trace }) => trace ?? []);
  }

  get underWay(): boolean {
    return this.status === 'waiting' || this.status === 'loading' || this.status === 'playing';
  }

  hear(news: EnvironmentNews): void {
    switch (news.what) {
      case 'loading':
        if (!this.underWay) break; // a file that was on its way when the eval ended
        this.status = 'loading';
        this.loading = news;
        break;
      case 'begun':
        this.status = 'playing';
        this.step = news.step;
        this.tokens = news.tokens;
        this.passThreshold = news.passThreshold;
        break;
      case 'played':
        this.rows = withNews(this.rows, news.phases, news.traces);
        this.progress = news.progress ?? this.progress;
        break;
      case 'done':
        this.status = 'done';
        this.summary = news.summary;
        this.files = news.files;
        this.#settle();
        break;
      case 'ended':
        this.#end(news.message);
        break;
      case 'gone':
        if (this.underWay) this.#end('the worker was lost');
        break;
    }
  }

  /** What is finished stays; the rest will not come. */
  #end(message: string | null): void {
    this.status = message === null ? 'cancelled' : 'failed';
    this.message = message ?? '';
    this.rows = this.rows.filter(({ trace }) => trace);
    this.#settle();
  }
}

function foreignName(model: EvalModel): string {
  return model.kind === 'endpoint' ? model.name : model.kind === 'onnx' ? model.source : '';
}

/** All of them, the newest first. */
export class EnvironmentEvals {
  list = $state.raw<readonly ShownEval[]>([]);
  /** The one that is looked at. */
  shown = $state.raw<ShownEval | null>(null);
  #next = 1;

  constructor(private readonly trainer: Trainer) {
    trainer.onEnvironment = (news) => {
      for (const each of this.list) if (news.what === 'gone' || news.id === each.id) each.hear(news);
    };
  }

  start(order: EvalOrder): ShownEval {
    const id = this.#next++;
    const { model, ...rest } = order;
    const shown = new ShownEval(id, rest, model.kind, foreignName(model));
    const kept = [shown, ...this.list].filter((each, i) => i < KEPT || each.underWay);
    this.list = kept;
    this.shown = shown;
    this.trainer.askEnvironment({ what: 'evaluate', id, ...order });
    return shown;
  }

  cancel({ id }: ShownEval): void {
    this.trainer.askEnvironment({ what: 'cancel', id });
  }
}
