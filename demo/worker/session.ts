/**
 * @file The trainer's side of the page: one run at a time, driven by the page's commands.
 *
 * A run is a generator of events, so the controls are simple: playing pulls events, a pause does not, a single step pulls
 * until a step has come, a stop aborts. Everything that touches the model happens between events, in order.
 */
import { strToU8, zipSync } from 'fflate';
import { DeviceLostError, Gpu, NoAdapterError } from '../../src/kernels';
import { Generator, NativeModel, Weights } from '../../src/model';
import { Run } from '../../src/rl';
import type { RunEvent, RunSnapshot, TrainConfig } from '../../src/rl';
import { PURPOSE, deriveKey } from '../../src/random';
import type { Command, Notice, StarterInfo, Status } from '../protocol';
import { sources, starterCard } from './sources';

/** Rollouts kept for export. */
const KEPT_ROLLOUTS = 50_000;

/** Times a lost device is replaced in one run before giving up. */
const MAX_RECOVERIES = 3;

export class Session {
  #gpu: Gpu | undefined;
  #run: Run | undefined;
  #events: AsyncGenerator<RunEvent, void, void> | undefined;
  #abort = new AbortController();
  #snapshot: RunSnapshot | undefined;
  #before: { weights: Weights; generator: Generator; model: NativeModel } | undefined;
  #recoveries = 0;
  #playing = false;
  #stepOnly = false;
  #status: Status = 'opening';
  readonly #rollouts: string[] = [];
  #forgotten = 0;
  /** Commands wait for the event in progress; a stop does not. */
  #queue: Promise<void> = Promise.resolve();

  constructor(private readonly post: (notice: Notice, transfer?: Transferable[]) => void) {}

  /** Takes a command from the page. */
  receive(command: Command): void {
    if (command.type === 'pause') this.#playing = false;
    if (command.type === 'stop' || command.type === 'open') {
      this.#playing = false;
      this.#abort.abort(new DOMException('stopped by the user', 'AbortError'));
    }
    if (command.type === 'lose-device') this.#gpu?.device.destroy();
    this.#queue = this.#queue.then(() => this.#obey(command)).catch((error: unknown) => this.#fail(error));
  }

  async #obey(command: Command): Promise<void> {
    switch (command.type) {
      case 'open':
        return this.#open(command.config);
      case 'play':
      case 'step':
        return this.#start(command.type === 'step');
      case 'pause':
        if (this.#status === 'running') this.#setStatus('paused');
        return;
      case 'stop':
        if (this.#run) await this.#stop();
        return;
      case 'try':
        return this.#try(command);
      case 'export':
        return command.what === 'model' ? this.#exportModel() : this.#exportRollouts();
      case 'lose-device':
        return;
    }
  }

  #setStatus(status: Status): void {
    this.#status = status;
    this.post({ type: 'status', status });
  }

  async #open(config: TrainConfig): Promise<void> {
    this.#setStatus('opening');
    this.#close();
    try {
      this.#gpu ??= await Gpu.acquire();
    } catch (error) {
      if (!(error instanceof NoAdapterError)) throw error;
      this.#setStatus('unavailable');
      this.post({ type: 'unavailable', message: error.message });
      return;
    }
    this.#rollouts.length = 0;
    this.#forgotten = 0;
    this.#recoveries = 0;
    this.#snapshot = undefined;
    const card = config.start === 'starter' ? ((await starterCard(config.env)) as StarterInfo | null) : null;
    await this.#createRun(config);
    const { policy } = this.#run!;
    this.post({
      type: 'opened',
      adapter: policy.gpu.adapterName,
      parameters: policy.weights.parameterCount,
      tokens: policy.tokenizer.tokens,
      starter: card,
    });
    this.#setStatus('ready');
  }

  async #createRun(config: TrainConfig): Promise<void> {
    this.#gpu ??= await Gpu.acquire();
    const run = await Run.create(this.#gpu, config, sources);
    this.#run = run;
    this.#abort = new AbortController();
    this.#events = run.events({
      signal: this.#abort.signal,
      resume: this.#snapshot,
      onProgress: (progress) => this.post({ type: 'progress', progress }),
      onSnapshot: (snapshot) => {
        this.#snapshot = snapshot;
        if (snapshot.step === 0) this.#before?.weights.writeFlat(snapshot.start); // after a warm-up
      },
    });
    await this.#rememberStart(run);
  }

  /** Keeps a copy of the weights the run starts from, to be asked beside the trained ones. */
  async #rememberStart(run: Run): Promise<void> {
    const { policy } = run;
    const weights = await Weights.create(policy.gpu, policy.config, 'starting weights');
    if (this.#snapshot) weights.writeFlat(this.#snapshot.start);
    else weights.copyFrom(policy.weights);
    const generator = await Generator.create(weights, { slots: 1 });
    this.#before = { weights, generator, model: new NativeModel('before', policy.chat, generator) };
  }

  #close(): void {
    this.#events = undefined;
    this.#before?.generator.destroy();
    this.#before?.weights.destroy();
    this.#before = undefined;
    this.#run?.destroy();
    this.#run = undefined;
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
    this.#queue = this.#queue.then(() => this.#pull()).catch((error: unknown) => this.#fail(error));
  }

  async #pull(): Promise<void> {
    if (!this.#playing || !this.#events) return;
    let result: IteratorResult<RunEvent, void>;
    try {
      result = await this.#events.next();
    } catch (error) {
      if (this.#abort.signal.aborted) return; // #stop or #open follows in the queue
      if (error instanceof DeviceLostError) return this.#recover(error);
      throw error;
    }
    this.post({ type: 'progress', progress: null });
    if (result.done) return;
    this.#show(result.value);
    const { event } = result.value;
    if (event === 'done' || (this.#stepOnly && (event === 'step' || event === 'sft'))) {
      this.#playing = false;
      this.#setStatus(event === 'done' ? 'done' : 'paused');
      return;
    }
    this.#pullNext();
  }

  #show(event: RunEvent): void {
    if (event.event !== 'step') {
      this.post({ type: 'event', event });
      return;
    }
    const { groups_detail: groups, ...report } = event;
    for (const { traces } of groups) {
      for (const trace of traces) this.#rollouts.push(JSON.stringify({ step: event.step, ...trace }));
    }
    const excess = this.#rollouts.length - KEPT_ROLLOUTS;
    if (excess > 0) this.#forgotten += this.#rollouts.splice(0, excess).length;
    this.post({ type: 'event', event: report });
    this.post({
      type: 'groups',
      step: event.step,
      groups: groups.map(({ exampleId, traces }) => ({ exampleId, traces })),
    });
  }

  /** The run ends where it is: the weights are those of the last complete step. */
  async #stop(): Promise<void> {
    await this.#events?.return();
    this.post({ type: 'progress', progress: null });
    if (this.#status === 'running' || this.#status === 'paused') this.#setStatus('stopped');
  }

  /** A new device, and the run from its last snapshot: the same numbers come again, since nothing depends on time. */
  async #recover(error: DeviceLostError): Promise<void> {
    const config = this.#run!.config;
    this.#gpu = undefined;
    this.#run = undefined;
    this.#before = undefined;
    if (++this.#recoveries > MAX_RECOVERIES) throw error;
    await this.#createRun(config);
    this.post({ type: 'recovered', step: this.#snapshot?.step ?? 0, message: error.message });
    this.#pullNext();
  }

  async #try({ id, prompt, greedy }: Extract<Command, { type: 'try' }>): Promise<void> {
    const run = this.#run;
    if (!run || !this.#before) return;
    const messages = run.env.promptFor({ question: prompt });
    const sampling = { ...run.env.sampling, temperature: greedy ? 0 : 1 };
    const key = deriveKey(run.config.seed, PURPOSE.sampling, 2 ** 40, id);
    const ask = async (model: NativeModel) => (await model.complete({ messages, sampling, key })).message.content;
    try {
      const before = await ask(this.#before.model);
      this.post({ type: 'tried', id, before, after: await ask(run.policy.chatModel()) });
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      // A prompt that the model cannot read is the prompt's fault, not the run's.
      this.post({ type: 'try-failed', id, message: error instanceof Error ? error.message : String(error) });
    }
  }

  async #exportModel(): Promise<void> {
    if (!this.#run) return;
    const { config, policy } = this.#run;
    const folder = `${config.env}-seed${config.seed}`;
    const files = Object.fromEntries([...(await policy.export())].map(([name, bytes]) => [`${folder}/${name}`, bytes]));
    const bytes = zipSync({ ...files, [`${folder}/run.json`]: strToU8(`${JSON.stringify(config, null, 2)}\n`) });
    this.post({ type: 'exported', name: `${folder}.zip`, bytes }, [bytes.buffer]);
  }

  #exportRollouts(): void {
    if (!this.#run) return;
    const { env, seed } = this.#run.config;
    const lines = this.#forgotten > 0 ? [JSON.stringify({ omitted_oldest_rollouts: this.#forgotten })] : [];
    const bytes = strToU8([...lines, ...this.#rollouts, ''].join('\n'));
    this.post({ type: 'exported', name: `${env}-seed${seed}-rollouts.jsonl`, bytes }, [bytes.buffer]);
  }

  #fail(error: unknown): void {
    this.#playing = false;
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    if (error instanceof DeviceLostError) this.#gpu = undefined;
    this.post({ type: 'progress', progress: null });
    this.post({ type: 'failed', name, message });
    this.#setStatus('stopped');
  }
}
