/**
 * @file The trainer's side of the page: one run at a time, driven by the page's commands.
 *
 * A run is a generator of events, so the controls are simple: playing pulls events, a pause does not, a single step pulls
 * until a step has come, a stop aborts. Everything that touches the model happens between events, in order.
 */
import { DeviceLostError, Gpu, NoAdapterError, enableTuner } from '../../src/kernels';
import type { Shelf } from '../../src/model';
import { Diagnostician, Run, RunStore, Sampler, modelFolderOf } from '../../src/rl';
import type {
  Diagnosis,
  ModelFolder,
  ModelSources,
  OpenedRun,
  Policy,
  RunEvent,
  RunSnapshot,
  TrainConfig,
} from '../../src/rl';
import type { ProfileNews } from '../profile_protocol';
import type { Command, Notice, RunNotice, StarterInfo, Status } from '../protocol';
import { EnvironmentEvals } from './environment_evals';
import { KeptRun } from './kept_run';
import { ModelsDesk } from './models/desk';
import { PlaygroundDesk } from './playground/desk';
import type { OpenRun } from './playground/seats';
import type { ProfileDesk } from './profile/lazy-desk';
import { memoryShelf } from './shelf';
import type { RunShelf } from './shelf';
import { pageSources, starterCard } from './sources';
import { shelfCache } from './tuner_cache';

/** Times a lost device is replaced in one run before giving up. */
const MAX_RECOVERIES = 3;

/** Replies of the starting model under way together; an evaluation asks for as many. */
const ASKED_AT_ONCE = 64;

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/** What the run starts from, as a second model that can be asked. */
function reserveStart(policy: Policy, { memory }: TrainConfig): Promise<Sampler> {
  const slots = Math.min(ASKED_AT_ONCE, memory.slots ?? ASKED_AT_ONCE);
  const options = { slots, cacheBytes: memory.cache_mb * 2 ** 20, cacheStorage: memory.cache_type };
  return Sampler.create(policy, options, { name: 'before', label: 'starting weights' });
}

export class Session {
  #gpu: Gpu | undefined;
  #acquiring: Promise<Gpu> | undefined;
  /** Why there is no device, once one was lost. */
  #noDevice: DeviceLostError | undefined;
  /** Number of the run that is open, and of the last one that was asked for. */
  #number = 0;
  #wanted = 0;
  /** Stays, on its dead device, when that is lost and there is no other. */
  #run: Run | undefined;
  #events: AsyncGenerator<RunEvent, void, void> | undefined;
  /** Listens to the run; outlives the device that the run is on. */
  #diagnostician: Diagnostician | undefined;
  #abort = new AbortController();
  #evalAbort = new AbortController();
  readonly #environments = new EnvironmentEvals((news, transfer) =>
    this.#post({ type: 'environment', news }, transfer),
  );
  #snapshot: RunSnapshot | undefined;
  /** Makes the model's folder, without a device as well. */
  #modelAt: ModelFolder | undefined;
  /** Where models come from; a resumed run begins with its own. */
  #sources: ModelSources;
  readonly #ownSources: ModelSources;
  readonly #models: ModelsDesk;
  readonly #playground: PlaygroundDesk;
  /** Once a profile was asked for. */
  #profile: ProfileDesk | undefined;
  /** How often the run's weights have changed, and those it is compared with. */
  #changes = 0;
  #startChanges = 0;
  /** What is written down of the run, once it has begun. */
  #kept: KeptRun | undefined;
  #before: Sampler | undefined;
  #recoveries = 0;
  /** GRPO steps done. */
  #step = 0;
  #playing = false;
  #stepOnly = false;
  #status: Status = 'opening';
  /** Commands wait for the event in progress; a stop does not. */
  #queue: Promise<void> = Promise.resolve();

  /**
   * @param acquire makes a device; called again when one is lost
   * @param shelf where runs are kept
   * @param models where downloaded models are
   * @param kernels where it is kept which kernels are fastest
   */
  constructor(
    private readonly send: (notice: RunNotice, transfer?: Transferable[]) => void,
    private readonly acquire: () => Promise<Gpu> = () => Gpu.acquire(),
    private readonly shelf: Promise<RunShelf> = Promise.resolve(memoryShelf()),
    models: Promise<Shelf> = Promise.resolve(memoryShelf()),
    private readonly kernels: Promise<Shelf> = Promise.resolve(memoryShelf()),
  ) {
    this.#models = new ModelsDesk({
      models,
      runs: shelf,
      limits: () => this.#limits(),
      post: (news) => this.#post({ type: 'models', news }),
    });
    this.#playground = new PlaygroundDesk({
      gpu: () => this.#device(),
      run: () => this.#openRun(),
      models: () => this.#models.models,
      post: (news) => this.#post({ type: 'playground', news }),
    });
    this.#sources = this.#ownSources = pageSources((name) => this.#models.folder(name));
  }

  /** Takes a command from the page. */
  receive(command: Command): void {
    if (command.type === 'runs') {
      void Promise.all([this.shelf, import('./lazy-kept-runs')]).then(([shelf, { answerRuns }]) =>
        answerRuns(shelf, command.request, (notice, transfer) => this.#post(notice, transfer)),
      );
      return;
    }
    if (command.type === 'models') {
      void this.#models.receive(command.request);
      return;
    }
    const replaces = command.type === 'open' || command.type === 'resume';
    if (replaces) this.#wanted = command.run;
    if (command.type === 'pause') this.#playing = false;
    if (command.type === 'stop' || replaces) {
      this.#playing = false;
      this.#abort.abort(new DOMException('stopped by the user', 'AbortError'));
    }
    if (command.type === 'environment' && !this.#environments.receive(command.request)) return;
    if (command.type === 'playground' && !this.#playground.receive(command.request)) return;
    if (replaces) this.#environments.cancelNative();
    if (replaces) this.#playground.stop();
    if (command.type === 'cancel-eval' || replaces) this.#evalAbort.abort();
    if (command.type === 'evaluate') this.#evalAbort = new AbortController();
    if (command.type === 'lose-device') this.#gpu?.device.destroy();
    this.#enqueue(() => this.#obey(command));
  }

  /** Work waits for its turn. */
  #enqueue(work: () => Promise<void>): void {
    const turn = async () => {
      const started = performance.now();
      await work();
      this.#profile?.wasBusy(started);
    };
    this.#queue = this.#queue.then(turn).catch((error: unknown) => this.#fail(error));
  }

  async #obey(command: Command): Promise<void> {
    switch (command.type) {
      case 'open':
        return this.#open(command.run, () => Promise.resolve({ config: command.config }));
      case 'resume':
        return this.#open(command.run, () => this.#reopen(command.id));
      case 'play':
      case 'step':
        this.#start(command.type === 'step');
        return;
      case 'pause':
        if (this.#status === 'running') this.#setStatus('paused');
        return;
      case 'stop':
        if (this.#run) await this.#stop();
        return;
      case 'playground':
        return this.#converse(command);
      case 'evaluate':
        return this.#evaluate(command);
      case 'environment':
        return this.#evaluateIn(command);
      case 'export':
        return this.#export(command);
      case 'profile':
        return this.#takeProfile(command);
      case 'cancel-eval':
      case 'lose-device':
      case 'models':
      case 'runs':
        return;
    }
  }

  #post(notice: Notice, transfer?: Transferable[]): void {
    this.send({ ...notice, run: this.#number }, transfer);
  }

  #setStatus(status: Status): void {
    this.#status = status;
    this.#post({ type: 'status', status });
  }

  /** Prepares a run: a new one, or one that was kept. */
  async #open(run: number, find: () => Promise<{ config: TrainConfig; opened?: OpenedRun }>): Promise<void> {
    if (run !== this.#wanted) return; // another one was asked for meanwhile
    this.#number = run;
    this.#setStatus('opening');
    await this.#close();
    this.#recoveries = 0;
    this.#step = 0;
    try {
      await this.#device();
    } catch (error) {
      if (!(error instanceof NoAdapterError)) throw error;
      this.#setStatus('unavailable');
      this.#post({ type: 'unavailable', message: error.message });
      return;
    }
    const { config, opened } = await find();
    const card = config.start === 'starter' ? ((await starterCard(config.env)) as StarterInfo | null) : null;
    await this.#createRun(config);
    const { policy, env } = this.#run!;
    this.#diagnostician = new Diagnostician(config, { metrics: env.rubric.metricNames });
    opened?.metrics.forEach((metric) => this.#diagnostician!.observe(metric));
    this.#modelAt = modelFolderOf(policy);
    this.#post({
      type: 'opened',
      adapter: policy.gpu.adapterName,
      parameters: policy.weights.parameterCount,
      tokens: policy.text.tokenizer.tokens,
      starter: card,
      memory: this.#run!.memory,
    });
    if (opened) {
      const { metrics, problems, store } = opened;
      this.#post({ type: 'restored', id: store.storage.name, metrics, problems });
      this.#postFindings();
    }
    this.#setStatus(this.#snapshot ? 'paused' : 'ready');
  }

  /** A run that was kept, at its last checkpoint. */
  async #reopen(id: string): Promise<{ config: TrainConfig; opened: OpenedRun }> {
    const opened = await RunStore.open((await this.shelf).at(id));
    this.#kept = new KeptRun(opened.store);
    this.#snapshot = opened.snapshot;
    this.#step = opened.snapshot?.step ?? 0;
    this.#sources = opened.sources(this.#ownSources);
    return { config: opened.about.config, opened };
  }

  /**
   * The device in use, or a new one where there is none or it is lost.
   * @throws what was said when one was lost and no other could be had, for as long as that is so
   */
  async #device(): Promise<Gpu> {
    try {
      this.#gpu?.check();
    } catch {
      this.#gpu = undefined;
    }
    if (this.#gpu) return this.#gpu;
    // Who asks while one is being acquired gets that one.
    this.#acquiring ??= this.#acquireTuned().finally(() => (this.#acquiring = undefined));
    try {
      this.#gpu = await this.#acquiring;
    } catch (error) {
      throw this.#noDevice ?? error;
    }
    this.#noDevice = undefined;
    return this.#gpu;
  }

  /** A new device, with the fastest kernels of the same bits. */
  async #acquireTuned(): Promise<Gpu> {
    const gpu = await this.acquire();
    await enableTuner(gpu, { cache: shelfCache(this.kernels) });
    return gpu;
  }

  /** Makes the run, at its start or at its last snapshot. */
  async #createRun(config: TrainConfig): Promise<void> {
    const run = await Run.create(await this.#device(), config, this.#sources, undefined, {
      alongside: (policy) => reserveStart(policy, config),
    });
    this.#run = run;
    this.#abort = new AbortController();
    this.#events = run.events({
      signal: this.#abort.signal,
      resume: this.#snapshot,
      onProgress: (progress) => this.#post({ type: 'progress', progress }),
      onSnapshot: async (snapshot) => {
        run.policy.gpu.check(); // what a lost device had a part in did not happen
        await this.#kept?.checkpoint(snapshot, this.#modelAt!(snapshot));
        this.#snapshot = snapshot;
        if (snapshot.step !== 0 || !snapshot.arrays.start) return;
        this.#before?.take(snapshot.arrays.start); // after a warm-up
        this.#startChanges++;
      },
    });
    await this.#rememberStart(run);
    if (this.#snapshot) {
      const { arrays, state } = this.#snapshot;
      run.policy.restore({ arrays, optimizerStep: state.optimizerStep }); // to be asked before it is played
    }
  }

  /** Keeps a copy of the weights the run starts from, to be asked beside the trained ones. */
  async #rememberStart(run: Run): Promise<void> {
    const before = await reserveStart(run.policy, run.config);
    const start = this.#snapshot?.arrays.start;
    if (start) before.take(start);
    else before.follow(run.policy);
    this.#before = before;
    this.#changes++;
    this.#startChanges++;
  }

  async #close(): Promise<void> {
    await this.#profile?.abandon('another run took the place of the one that was profiled');
    await this.#kept?.release();
    this.#kept = undefined;
    this.#sources = this.#ownSources;
    this.#playground.leaveRun();
    this.#events = undefined;
    this.#before?.destroy();
    this.#before = undefined;
    this.#run?.destroy();
    this.#run = undefined;
    this.#snapshot = undefined;
    this.#diagnostician = undefined;
    this.#modelAt = undefined;
  }

  /** Begins or resumes; the events are pulled one queue entry at a time, so that other commands get between them. */
  #start(stepOnly: boolean): void {
    if (!this.#events || this.#status === 'done' || this.#status === 'stopped') return;
    this.#stepOnly = stepOnly;
    if (this.#playing) return;
    this.#playing = true;
    this.#setStatus('running');
    this.#pullNext();
  }

  #pullNext(): void {
    this.#enqueue(() => this.#pull());
  }

  async #pull(): Promise<void> {
    if (!this.#playing || !this.#events) return;
    let result: IteratorResult<RunEvent, void>;
    try {
      result = await this.#events.next();
      this.#run!.policy.gpu.check(); // what a lost device had a part in did not happen
    } catch (error) {
      if (this.#abort.signal.aborted) return; // #stop or #open follows in the queue
      if (!(error instanceof DeviceLostError)) throw error;
      await this.#recover(error);
      this.#pullNext();
      return;
    }
    this.#post({ type: 'progress', progress: null });
    this.#changes++;
    if (result.done) return;
    this.#count(result.value);
    await this.#keep(result.value);
    this.#show(result.value);
    await this.#tell(this.#diagnostician!.observe(result.value));
    const { event } = result.value;
    if (event === 'done' || (this.#stepOnly && (event === 'step' || event === 'sft'))) {
      this.#playing = false;
      this.#setStatus(event === 'done' ? 'done' : 'paused');
    }
    if (this.#playing) this.#pullNext();
  }

  /** For a profile that is being taken. */
  #count({ event }: RunEvent): void {
    if (event === 'step') this.#profile?.saw('step');
    else if (event === 'sft') this.#profile?.saw('warmUp');
    else if (event === 'eval') this.#profile?.saw('evaluation');
  }

  /** Writes down what happened: with its first event a new run gets its place, with its last one its model. */
  async #keep(event: RunEvent): Promise<void> {
    const { config, policy } = this.#run!;
    if (!this.#kept) {
      this.#kept = await KeptRun.begin(await this.shelf, config, policy.trainable.parameterCount);
      this.#post({ type: 'kept', id: this.#kept.id });
    }
    await this.#kept.record(event);
    if (event.event !== 'done') return;
    await this.#kept.finish(this.#modelAt!(this.#snapshot!));
    await this.#kept.release();
  }

  #show(event: RunEvent): void {
    if (event.event !== 'step') {
      this.#post({ type: 'event', event });
      return;
    }
    const { groups_detail: groups, ...report } = event;
    this.#step = event.step;
    this.#post({ type: 'event', event: report });
    this.#post({
      type: 'groups',
      step: event.step,
      groups: groups.map(({ exampleId, traces }) => ({ exampleId, traces })),
    });
  }

  /** The run ends where it is: the weights are those of the last complete step. */
  async #stop(): Promise<void> {
    await this.#events?.return();
    await this.#kept?.release();
    this.#post({ type: 'progress', progress: null });
    if (this.#status === 'running' || this.#status === 'paused') this.#setStatus('stopped');
  }

  /** A new device, and the run from its last snapshot: the same numbers come again, since nothing depends on time. */
  async #recover(lost: DeviceLostError): Promise<void> {
    if (lost === this.#noDevice) throw lost; // it was tried, and just now again
    if (++this.#recoveries > MAX_RECOVERIES) throw lost;
    try {
      await this.#createRun(this.#run!.config);
    } catch (cause) {
      if (cause === this.#noDevice) throw cause;
      const { message } = cause instanceof Error ? cause : new Error(String(cause));
      const error = new DeviceLostError(lost.reason, '');
      error.message = `${lost.message}; no other could be had: ${message}`;
      this.#noDevice = error;
      throw error;
    }
    const step = this.#snapshot?.step ?? null;
    this.#step = step ?? 0;
    this.#diagnostician!.goBack(step ?? -1);
    this.#postFindings();
    await this.#kept?.goBack({ event: 'recovered', step: this.#step, message: lost.message });
    this.#post({ type: 'recovered', step, message: lost.message });
  }

  /** The run that is open, as far as its models can be asked. */
  #openRun(): OpenRun | undefined {
    if (!this.#run || !this.#before) return undefined;
    const { config, policy } = this.#run;
    const versions = { current: `current ${this.#changes}`, start: `start ${this.#startChanges}` };
    return { config, policy, before: this.#before, step: this.#step, versions };
  }

  /** Of the device; undefined where there is none. */
  async #limits(): Promise<GPUSupportedLimits | undefined> {
    try {
      return (await this.#device()).device.limits;
    } catch (error) {
      if (error instanceof NoAdapterError) return undefined;
      throw error;
    }
  }

  /** A conversation that comes to nothing is no end of the run; one whose device is lost is taken up on another. */
  async #converse({ request }: CommandOf<'playground'>): Promise<void> {
    try {
      await this.#playground.play(request);
      if (request.what === 'say') this.#profile?.saw('message');
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      try {
        if (this.#run) await this.#recover(error);
        await this.#playground.play(request);
      } catch (again) {
        if (again instanceof DeviceLostError) this.#playground.giveUp(request, again);
        throw again;
      }
    }
  }

  /** An evaluation that fails is no end of the run. */
  async #evaluate({ settings }: CommandOf<'evaluate'>): Promise<void> {
    const { signal } = this.#evalAbort;
    const run = this.#run;
    try {
      if (!run || !this.#before) throw new Error('there is no model to evaluate');
      const model = settings.which === 'start' ? this.#before.model : run.policy.chatModel('current');
      const { evaluateFor } = await import('./lazy-evaluation');
      const evaluation = await evaluateFor(run, model, settings, signal, (progress) =>
        this.#post({ type: 'eval-progress', progress }),
      );
      run.policy.gpu.check(); // rollouts of a lost device say nothing about the model
      this.#profile?.saw('evaluation');
      this.#post({
        type: 'evaluated',
        evaluation: { ...evaluation, step: settings.which === 'start' ? 0 : this.#step },
      });
    } catch (error) {
      const cancelled = signal.aborted;
      this.#post({
        type: 'eval-ended',
        message: cancelled ? null : error instanceof Error ? error.message : String(error),
      });
      if (!(error instanceof DeviceLostError)) return;
      await this.#recover(error);
    }
  }

  /** Evaluates a model of this run in an environment of the library. */
  async #evaluateIn({ request }: CommandOf<'environment'>): Promise<void> {
    if (request.what !== 'evaluate') return;
    const { policy } = this.#run ?? {};
    const started = request.model.kind === 'start';
    const model = started ? this.#before?.model : policy?.chatModel('current');
    await this.#environments.play(
      request,
      policy &&
        model && {
          model,
          tokens: policy.text.tokenizer.tokens,
          step: started ? 0 : this.#step,
          check: () => policy.gpu.check(),
        },
    );
    try {
      policy?.gpu.check();
      this.#profile?.saw('evaluation');
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      await this.#recover(error);
    }
  }

  /** A profile that comes to nothing is no end of the run. */
  async #takeProfile({ request }: CommandOf<'profile'>): Promise<void> {
    const post = (news: ProfileNews) => this.#post({ type: 'profile', news });
    try {
      const { ProfileDesk } = await import('./profile/lazy-desk');
      this.#profile ??= new ProfileDesk({ gpu: () => this.#device(), post });
    } catch (error) {
      post({ what: 'ended', message: error instanceof Error ? error.message : String(error) });
      return;
    }
    await this.#profile.receive(request);
  }

  /** Sends a file. That it could not be made is no end of the run. */
  async #export({ what }: CommandOf<'export'>): Promise<void> {
    try {
      if (!this.#run) throw new Error('there is no run to save anything of');
      if (what === 'model') await this.#exportModel(this.#run);
      else if (what === 'merged') await this.#exportMerged(this.#run);
      else await this.#exportRollouts(this.#run.config);
    } catch (error) {
      this.#report(error);
    }
  }

  async #exportModel({ config, policy }: Run): Promise<void> {
    let model: Map<string, Uint8Array<ArrayBuffer>>;
    let note = '';
    try {
      model = await policy.export();
    } catch (error) {
      if (!(error instanceof DeviceLostError) || !this.#snapshot || !this.#modelAt) throw error;
      model = this.#modelAt(this.#snapshot);
      note = `The device is lost: the model saved is that of step ${this.#snapshot.step}.`;
    }
    const { modelZip } = await import('./lazy-zip');
    const folder = `${config.env}-seed${config.seed}`;
    const bytes = modelZip(model, config, folder);
    this.#post({ type: 'exported', name: `${folder}.zip`, bytes, note }, [bytes.buffer]);
  }

  async #exportMerged(run: Run): Promise<void> {
    const { mergedZip } = await import('./lazy-zip');
    const folder = `${run.config.env}-seed${run.config.seed}-merged`;
    this.#post({ type: 'exported', name: `${folder}.zip`, bytes: await mergedZip(run, folder), note: '' });
  }

  async #exportRollouts({ env, seed }: TrainConfig): Promise<void> {
    if (!this.#kept) throw new Error('there are no rollouts yet');
    const bytes = await this.#kept.rollouts();
    this.#post({ type: 'exported', name: `${env}-seed${seed}-rollouts.jsonl`, bytes, note: '' }, [bytes.buffer]);
  }

  #report(error: unknown): void {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    this.#post({ type: 'failed', name, message });
  }

  /** Findings that appeared or are over. */
  async #tell(diagnoses: readonly Diagnosis[]): Promise<void> {
    if (diagnoses.length === 0) return;
    this.#postFindings();
    for (const diagnosis of diagnoses) await this.#kept?.record(diagnosis);
  }

  #postFindings(): void {
    this.#post({ type: 'findings', findings: this.#diagnostician!.findings });
  }

  /** The run cannot go on. Others may have what is kept of it. */
  async #fail(error: unknown): Promise<void> {
    this.#playing = false;
    this.#post({ type: 'progress', progress: null });
    this.#report(error);
    if (error instanceof Error) await this.#tell(this.#diagnostician?.fail(error) ?? []);
    if (this.#status !== 'done') this.#setStatus('stopped');
    await this.#kept?.release();
  }
}
