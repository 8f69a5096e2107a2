/** @file The page's picture of the trainer: what the worker has said so far, and the commands to it. */
import type { EvalProgress } from '../src/envs';
import type { Finding, MemoryPlan, Metric, Progress, TrainConfig, TrainingComparison } from '../src/rl';
import type { EnvironmentNews, EnvironmentRequest } from './environments_protocol';
import type { ModelsNews, ModelsRequest } from './models_protocol';
import type { PlaygroundNews, PlaygroundRequest } from './playground_protocol';
import type { ProfileNews, ProfileRequest } from './profile_protocol';
import TrainerWorker from './worker/worker?worker';
import type {
  Command,
  EvalSettings,
  RunNotice,
  RunsRequest,
  ShownEvaluation,
  ShownEvent,
  ShownGroup,
  ShownRun,
  StarterInfo,
  Status,
} from './protocol';

type StepEvent = Extract<ShownEvent, { event: 'step' }>;
type EvalEvent = Extract<ShownEvent, { event: 'eval' }>;
type SftEvent = Extract<ShownEvent, { event: 'sft' }>;
type DoneEvent = Extract<ShownEvent, { event: 'done' }>;

/** Evaluations with all their rollouts that are kept for looking at. */
const KEPT_EVALUATIONS = 4;

/** After these the runs that are kept are not what they were. */
const ENDED: readonly Status[] = ['paused', 'stopped', 'done'];

/** A run to offer to go on with. */
function isLeftBehind({ about, finished, inUse }: ShownRun): boolean {
  return about !== undefined && !finished && !inUse;
}

/** What comes whatever run is open: it was asked for by itself. */
const OF_NO_RUN: readonly RunNotice['type'][] = [
  'exported',
  'runs',
  'compared',
  'runs-said',
  'environment',
  'models',
  'playground',
  'profile',
];

/** A model of this browser that a run can start from. */
export interface StartChoice {
  /** What `start` is set to. */
  name: string;
  /** Of all its files. */
  bytes: number;
}

export class Trainer {
  status = $state<Status>('opening');
  /** The config of the run that is open. */
  config = $state.raw<TrainConfig | null>(null);
  adapter = $state('');
  parameters = $state(0);
  tokens = $state.raw<readonly string[]>([]);
  starter = $state.raw<StarterInfo | null>(null);
  memory = $state.raw<MemoryPlan | null>(null);
  steps = $state.raw<readonly StepEvent[]>([]);
  evals = $state.raw<readonly EvalEvent[]>([]);
  sft = $state.raw<SftEvent | null>(null);
  done = $state.raw<DoneEvent | null>(null);
  groups = $state.raw<readonly ShownGroup[]>([]);
  groupsStep = $state(0);
  /** What keeps the run from learning, the likeliest cause first. */
  findings = $state.raw<readonly Finding[]>([]);
  progress = $state.raw<Progress | null>(null);
  /** Asked for and not yet ended. */
  evaluating = $state(false);
  evalProgress = $state.raw<EvalProgress | null>(null);
  /** The newest first. */
  evaluations = $state.raw<readonly ShownEvaluation[]>([]);
  evalError = $state('');
  error = $state.raw<{ name: string; message: string } | null>(null);
  notice = $state('');
  /** What became of a lost device, if one was lost. */
  recovery = $state('');
  unavailable = $state('');
  /** Under which name the run that is open is kept; '' before it has begun. */
  keptAs = $state('');
  /** The runs that are kept, the newest first; null before the worker has said. */
  runs = $state.raw<readonly ShownRun[] | null>(null);
  /** Whether they are there after a reload, too. */
  runsLast = $state(true);
  comparison = $state.raw<TrainingComparison | null>(null);
  runsSaid = $state.raw<{ message: string; failed: boolean } | null>(null);
  /** A run that was not finished when the page was left. */
  unfinished = $state.raw<ShownRun | null>(null);

  /** Besides those that are shipped. */
  startChoices = $state.raw<readonly StartChoice[]>([]);

  /** Hear of the evaluations in environments of the library, of models, of conversations, and of profiles. */
  onEnvironment: ((news: EnvironmentNews) => void) | undefined;
  onModels: ((news: ModelsNews) => void) | undefined;
  onPlayground: ((news: PlaygroundNews) => void) | undefined;
  onProfile: ((news: ProfileNews) => void) | undefined;

  #worker: Worker | undefined;
  /** The run that the page shows. */
  #run = 0;

  /** @param download takes a file that the worker made */
  constructor(private readonly download: (name: string, bytes: Uint8Array<ArrayBuffer> | Blob) => void) {}

  #startWorker(): Worker {
    const worker = new TrainerWorker({ name: 'trainer' });
    worker.addEventListener('message', ({ data }: MessageEvent<RunNotice>) => this.#hear(data));
    worker.addEventListener('error', (event) => {
      this.error = { name: 'WorkerError', message: event.message || 'the trainer worker could not be started' };
      this.status = 'stopped';
      worker.terminate();
      this.#worker = undefined; // the next run gets another
      this.onEnvironment?.({ what: 'gone' });
      this.onModels?.({ what: 'gone' });
      this.onPlayground?.({ what: 'gone' });
      this.onProfile?.({ what: 'gone' });
    });
    return worker;
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
    this.#forget(config);
    this.#send({ type: 'open', run: ++this.#run, config });
  }

  /** Goes on with a run that is kept. */
  resume({ id, about }: ShownRun): void {
    if (!about) return;
    this.#forget(about.config);
    this.unfinished = null;
    this.#send({ type: 'resume', run: ++this.#run, id });
    this.play();
  }

  #forget(config: TrainConfig): void {
    this.config = config;
    this.steps = [];
    this.evals = [];
    this.sft = null;
    this.done = null;
    this.groups = [];
    this.findings = [];
    this.evaluating = false;
    this.evalProgress = null;
    this.evaluations = [];
    this.evalError = '';
    this.progress = null;
    this.error = null;
    this.notice = '';
    this.recovery = '';
    this.keptAs = '';
    this.memory = null;
    this.status = 'opening';
  }

  /** Asks for something about the runs that are kept. */
  askRuns(request: RunsRequest): void {
    this.runsSaid = null;
    this.#send({ type: 'runs', request });
  }

  askEnvironment(request: EnvironmentRequest): void {
    this.#send({ type: 'environment', request });
  }

  askModels(request: ModelsRequest): void {
    this.#send({ type: 'models', request });
  }

  askPlayground(request: PlaygroundRequest): void {
    this.#send({ type: 'playground', request });
  }

  askProfile(request: ProfileRequest): void {
    this.#send({ type: 'profile', request });
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

  evaluate(settings: EvalSettings): void {
    this.evaluating = true;
    this.evalProgress = null;
    this.evalError = '';
    this.#send({ type: 'evaluate', settings });
  }

  cancelEval(): void {
    this.#send({ type: 'cancel-eval' });
  }

  /** Hands out the files of an evaluation. */
  save({ files }: Pick<ShownEvaluation, 'files'>): void {
    this.download(files.name, files.bytes);
  }

  export(what: 'model' | 'merged' | 'rollouts'): void {
    this.#send({ type: 'export', what });
  }

  /** The fire drill of the end-to-end tests. */
  loseDevice(): void {
    this.#send({ type: 'lose-device' });
  }

  #send(command: Command): void {
    this.#worker ??= this.#startWorker();
    this.#worker.postMessage(command);
  }

  #hear(notice: RunNotice): void {
    // What an earlier run still has to say is not about this one; what was asked for comes all the same.
    if (notice.run !== this.#run && !OF_NO_RUN.includes(notice.type)) return;
    switch (notice.type) {
      case 'status':
        this.status = notice.status;
        if (this.runs && ENDED.includes(notice.status)) this.askRuns({ what: 'list' });
        if (notice.status !== 'running') this.notice = '';
        break;
      case 'opened':
        this.adapter = notice.adapter;
        this.parameters = notice.parameters;
        this.tokens = notice.tokens;
        this.starter = notice.starter;
        this.memory = notice.memory;
        if (!this.runs) this.askRuns({ what: 'list' });
        break;
      case 'kept':
        this.keptAs = notice.id;
        this.unfinished = null;
        break;
      case 'restored':
        this.keptAs = notice.id;
        this.#restore(notice.metrics);
        this.recovery = notice.problems.join('\n');
        break;
      case 'runs':
        // Offered once, of those that were left behind.
        if (!this.runs && this.keptAs === '') this.unfinished = notice.runs.find(isLeftBehind) ?? null;
        this.runs = notice.runs;
        this.runsLast = notice.lasts;
        break;
      case 'compared':
        this.comparison = notice.comparison;
        break;
      case 'runs-said':
        this.runsSaid = { message: notice.message, failed: notice.failed };
        break;
      case 'event':
        this.#record(notice.event);
        break;
      case 'groups':
        this.groups = notice.groups;
        this.groupsStep = notice.step;
        break;
      case 'findings':
        this.findings = notice.findings;
        break;
      case 'progress':
        this.progress = notice.progress;
        break;
      case 'eval-progress':
        this.evalProgress = notice.progress;
        break;
      case 'evaluated':
        this.evaluations = [notice.evaluation, ...this.evaluations].slice(0, KEPT_EVALUATIONS);
        this.evaluating = false;
        break;
      case 'eval-ended':
        this.evaluating = false;
        this.evalProgress = null;
        this.evalError = notice.message ?? '';
        break;
      case 'environment':
        this.onEnvironment?.(notice.news);
        break;
      case 'models':
        this.onModels?.(notice.news);
        break;
      case 'playground':
        this.onPlayground?.(notice.news);
        break;
      case 'profile':
        this.onProfile?.(notice.news);
        break;
      case 'exported':
        this.download(notice.name, notice.bytes);
        if (notice.note) this.notice = notice.note;
        break;
      case 'recovered':
        this.#goBack(notice.step);
        this.recovery =
          `${notice.message.replace(/\.$/, '')}. A new device took over from ` +
          (notice.step === null ? 'the start.' : `step ${notice.step}.`);
        break;
      case 'unavailable':
        this.unavailable = notice.message;
        break;
      case 'failed':
        this.error = { name: notice.name, message: notice.message };
        break;
    }
  }

  /** Forgets what came after a step; null stands for everything. */
  #goBack(step: number | null): void {
    this.steps = this.steps.filter((event) => step !== null && event.step <= step);
    this.evals = this.evals.filter((event) => step !== null && event.step <= step);
    if (step === null) this.sft = null;
    if (this.groupsStep > (step ?? 0)) this.groups = [];
  }

  /** What happened in a run before it was left. */
  #restore(metrics: readonly Metric[]): void {
    const of = <T extends Metric['event']>(event: T) =>
      metrics.filter((metric): metric is Extract<Metric, { event: T }> => metric.event === event);
    this.steps = of('step');
    this.evals = of('eval');
    this.sft = of('sft').at(-1) ?? null;
  }

  #record(event: ShownEvent): void {
    if (event.event === 'step') this.steps = [...this.steps, event];
    else if (event.event === 'eval') this.evals = [...this.evals, event];
    else if (event.event === 'sft') this.sft = event;
    else if (event.event === 'done') this.done = event;
  }
}
