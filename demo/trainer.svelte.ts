/** @file The page's picture of the trainer: what the worker has said so far, and the commands to it. */
import type { TrainConfig } from '../src/rl';
import type { Progress } from '../src/rl';
import TrainerWorker from './worker/worker?worker';
import type { Command, Notice, ShownEvent, ShownGroup, StarterInfo, Status } from './protocol';

type StepEvent = Extract<ShownEvent, { event: 'step' }>;
type EvalEvent = Extract<ShownEvent, { event: 'eval' }>;
type SftEvent = Extract<ShownEvent, { event: 'sft' }>;
type DoneEvent = Extract<ShownEvent, { event: 'done' }>;

export interface Try {
  id: number;
  prompt: string;
  before: string | null;
  after: string | null;
  error: string | null;
  /** Steps done when it was asked. */
  step: number;
}

export class Trainer {
  status = $state<Status>('opening');
  /** The config of the run that is open. */
  config = $state.raw<TrainConfig | null>(null);
  adapter = $state('');
  parameters = $state(0);
  tokens = $state.raw<readonly string[]>([]);
  starter = $state.raw<StarterInfo | null>(null);
  steps = $state.raw<readonly StepEvent[]>([]);
  evals = $state.raw<readonly EvalEvent[]>([]);
  sft = $state.raw<SftEvent | null>(null);
  done = $state.raw<DoneEvent | null>(null);
  groups = $state.raw<readonly ShownGroup[]>([]);
  groupsStep = $state(0);
  progress = $state.raw<Progress | null>(null);
  tries = $state.raw<readonly Try[]>([]);
  error = $state.raw<{ name: string; message: string } | null>(null);
  notice = $state('');
  unavailable = $state('');

  readonly #worker: Worker;
  #nextTry = 1;

  /** @param download takes a file that the worker made */
  constructor(private readonly download: (name: string, bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#worker = new TrainerWorker({ name: 'trainer' });
    this.#worker.addEventListener('message', ({ data }: MessageEvent<Notice>) => this.#hear(data));
    this.#worker.addEventListener('error', (event) => {
      this.error = { name: 'WorkerError', message: event.message || 'the trainer worker could not be started' };
      this.status = 'stopped';
    });
  }

  /** Steps done. */
  get step(): number {
    return this.steps.at(-1)?.step ?? 0;
  }

  /** Seconds left at the pace so far, or null before there is one. */
  get secondsLeft(): number | null {
    if (!this.config || this.steps.length === 0) return null;
    const recent = this.steps.slice(-10);
    const pace = recent.reduce((sum, step) => sum + step.rolloutSeconds + step.updateSeconds, 0) / recent.length;
    return pace * (this.config.grpo.steps - this.step);
  }

  /** Prepares a run and forgets the one before. */
  open(config: TrainConfig): void {
    this.config = config;
    this.steps = [];
    this.evals = [];
    this.sft = null;
    this.done = null;
    this.groups = [];
    this.tries = [];
    this.error = null;
    this.notice = '';
    this.#send({ type: 'open', config });
  }

  play(): void {
    this.#send({ type: 'play' });
  }

  pause(): void {
    this.notice = 'Pausing after what is in progress ...';
    this.#send({ type: 'pause' });
  }

  oneStep(): void {
    this.#send({ type: 'step' });
  }

  stop(): void {
    this.#send({ type: 'stop' });
  }

  ask(prompt: string, greedy: boolean): void {
    const id = this.#nextTry++;
    this.tries = [{ id, prompt, before: null, after: null, error: null, step: this.step }, ...this.tries].slice(0, 20);
    this.#send({ type: 'try', id, prompt, greedy });
  }

  export(what: 'model' | 'rollouts'): void {
    this.#send({ type: 'export', what });
  }

  /** The fire drill of the end-to-end tests. */
  loseDevice(): void {
    this.#send({ type: 'lose-device' });
  }

  #send(command: Command): void {
    this.#worker.postMessage(command);
  }

  #hear(notice: Notice): void {
    switch (notice.type) {
      case 'status':
        this.status = notice.status;
        if (notice.status !== 'running') this.notice = '';
        break;
      case 'opened':
        this.adapter = notice.adapter;
        this.parameters = notice.parameters;
        this.tokens = notice.tokens;
        this.starter = notice.starter;
        break;
      case 'event':
        this.#record(notice.event);
        break;
      case 'groups':
        this.groups = notice.groups;
        this.groupsStep = notice.step;
        break;
      case 'progress':
        this.progress = notice.progress;
        break;
      case 'tried':
        this.#answer(notice.id, { before: notice.before, after: notice.after });
        break;
      case 'try-failed':
        this.#answer(notice.id, { error: notice.message });
        break;
      case 'exported':
        this.download(notice.name, notice.bytes);
        break;
      case 'recovered':
        this.steps = this.steps.filter((step) => step.step <= notice.step);
        this.evals = this.evals.filter((event) => event.step <= notice.step);
        this.notice = `${notice.message}. Went on with a new device from step ${notice.step}.`;
        break;
      case 'unavailable':
        this.unavailable = notice.message;
        break;
      case 'failed':
        this.error = { name: notice.name, message: notice.message };
        break;
    }
  }

  #record(event: ShownEvent): void {
    if (event.event === 'step') this.steps = [...this.steps, event];
    else if (event.event === 'eval') this.evals = [...this.evals, event];
    else if (event.event === 'sft') this.sft = event;
    else if (event.event === 'done') this.done = event;
  }

  #answer(id: number, answer: Partial<Try>): void {
    this.tries = this.tries.map((item) => (item.id === id ? { ...item, ...answer } : item));
  }
}
