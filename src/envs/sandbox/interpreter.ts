/**
 * @file The interpreter: QuickJS in WebAssembly. The code in it sees the JavaScript language, a console and nothing else: no
 * network, no page, no modules, no timers, no clock. Math.random is a function of the sandbox's key, so that the same code
 * gives the same text on every machine. Every sandbox has the interpreter's whole memory to itself (see images.ts).
 */
import loadModule from '@jitl/quickjs-singlefile-browser-release-sync/emscripten-module';
import { QuickJSFFI } from '@jitl/quickjs-singlefile-browser-release-sync/ffi';
import { QuickJSWASMModule, Scope } from 'quickjs-emscripten-core';
import type { QuickJSContext, QuickJSHandle, QuickJSRuntime } from 'quickjs-emscripten-core';
import { Random, subKey } from '../../random';
import type { RandomKey } from '../../random';
import { EMPTY_IMAGE, Images, SANDBOX_MEMORY_BYTES, imageBytes } from './images';
import type { Image } from './images';
import prelude from './prelude.js?raw';
import type { RunResult, SandboxLimits, Stop } from './protocol';

/** After how many steps the interpreter asks whether to go on: fixed when QuickJS was compiled. */
const STEPS_PER_QUESTION = 10_000;

/** Things that waited for promises and are done in a row before it is asked whether to go on: each counts as 100 steps. */
const JOBS = 100;

/** The language without its clock: a date would be another one at every run. */
const INTRINSICS = {
  BaseObjects: true,
  BigInt: true,
  Eval: true,
  JSON: true,
  MapSet: true,
  Promise: true,
  Proxy: true,
  RegExp: true,
  RegExpCompiler: true,
  StringNormalize: true,
  TypedArrays: true,
} as const;

const WASM_PAGE = 65_536;

/** How QuickJS begins to say so. */
const OUT_OF_MEMORY = 'InternalError: out of memory';

/** A sandbox whose runs since the last image took more steps is kept as a new image; one of fewer steps runs them again. */
const STEPS_WORTH_AN_IMAGE = 200_000;

interface SandboxState {
  limits: SandboxLimits;
  key: RandomKey;
  /** What the memory held after its first runs, */
  image: Image;
  /** how many these were, */
  imaged: number;
  /** what has run since, */
  since: string[];
  /** and how many steps that took. */
  steps: number;
}

type Helper = 'begin' | 'overflowed' | 'cut' | 'show' | 'describe';

/** Some code was stopped; the sandbox it ran in is of no use any more. */
class StoppedError extends Error {
  constructor(readonly stop: Stop) {
    super(stop);
  }
}

export class Interpreter {
  readonly #sandboxes = new Map<number, SandboxState>();
  readonly #helpers: Record<Helper, QuickJSHandle>;
  private readonly images: Images;
  /** The sandbox that the memory holds. */
  #inside: SandboxState | undefined;
  /** Of the run in progress. */
  #random = new Random([0, 0]);
  #questions = 0;
  #interrupted = false;
  #stdout = '';
  #cut = false;

  private constructor(
    memory: WebAssembly.Memory,
    private readonly runtime: QuickJSRuntime,
    private readonly context: QuickJSContext,
  ) {
    runtime.setInterruptHandler(() => this.#isOver());
    this.#helpers = this.#prepare();
    this.images = new Images(memory);
  }

  static async load(): Promise<Interpreter> {
    const pages = SANDBOX_MEMORY_BYTES / WASM_PAGE;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const wasm = await loadModule({ wasmMemory: memory });
    wasm.type = 'sync';
    const module = new QuickJSWASMModule(wasm, new QuickJSFFI(wasm));
    const runtime = module.newRuntime();
    return new Interpreter(memory, runtime, runtime.newContext({ intrinsics: INTRINSICS }));
  }

  /** Bytes of the images that are kept. */
  get heldBytes(): number {
    return [...this.#sandboxes.values()].reduce((sum, { image }) => sum + imageBytes(image), 0);
  }

  open(sandbox: number, limits: SandboxLimits, key: RandomKey): void {
    this.#sandboxes.set(sandbox, { limits, key, image: EMPTY_IMAGE, imaged: 0, since: [], steps: 0 });
  }

  close(sandbox: number): void {
    if (this.#inside === this.#sandboxes.get(sandbox)) this.#inside = undefined;
    this.#sandboxes.delete(sandbox);
  }

  /**
   * Runs code in a sandbox. One that was stopped is closed.
   * @throws what the interpreter itself dies of; nothing that it holds is of use then
   */
  run(sandbox: number, code: string): RunResult {
    const state = this.#sandboxes.get(sandbox)!;
    const { codeLength } = state.limits;
    if (code.length > codeLength) {
      const error = `the code has ${code.length} characters; at most ${codeLength} fit`;
      return { stdout: '', error, cut: false, steps: 0 };
    }
    this.#enter(state);
    const result = this.#execute(state, code);
    if (result.stopped) this.close(sandbox);
    return result;
  }

  /** Brings a sandbox into the interpreter, as it was when it left. */
  #enter(state: SandboxState): void {
    const { images } = this;
    const before = this.#inside;
    if (before === state) return;
    if (before && before.steps > STEPS_WORTH_AN_IMAGE) {
      const imaged = before.imaged + before.since.length;
      Object.assign(before, { image: images.take(), imaged, since: [], steps: 0 } satisfies Partial<SandboxState>);
    }
    images.put(state.image);
    this.#inside = state;
    const again = state.since;
    state.since = [];
    state.steps = 0;
    for (const code of again) this.#execute(state, code);
  }

  /** Runs code in the sandbox that is in the interpreter. */
  #execute(state: SandboxState, code: string): RunResult {
    this.#random = new Random(subKey(state.key, state.imaged + state.since.length));
    this.#questions = 0;
    this.#interrupted = false;
    this.#stdout = '';
    this.#cut = false;
    this.runtime.setMaxStackSize(state.limits.stackBytes);
    let rest: Pick<RunResult, 'value' | 'error' | 'stopped'>;
    try {
      rest = Scope.withScope((scope) => this.#evaluate(code, scope));
    } catch (error) {
      if (!(error instanceof StoppedError)) throw error;
      rest = { error: this.#explain(error.stop), stopped: error.stop };
    }
    const steps = this.#questions * STEPS_PER_QUESTION;
    state.since.push(code);
    state.steps += steps;
    return { stdout: this.#stdout, ...rest, cut: this.#cut, steps };
  }

  #prepare(): Record<Helper, QuickJSHandle> {
    const { context } = this;
    const print = context.newFunction('print', (line) => {
      this.#stdout += `${context.getString(line)}\n`;
    });
    const random = context.newFunction('random', () => context.newNumber(this.#random.next()));
    const prepare = context.unwrapResult(context.evalCode(prelude, 'prelude.js'));
    const made = context.unwrapResult(context.callFunction(prepare, context.undefined, print, random));
    const helper = (name: Helper) => context.getProp(made, name);
    return {
      begin: helper('begin'),
      overflowed: helper('overflowed'),
      cut: helper('cut'),
      show: helper('show'),
      describe: helper('describe'),
    };
  }

  /** Counts, and says whether the steps are used up: from then on everything is interrupted. */
  #isOver(): boolean {
    this.#interrupted ||= ++this.#questions * STEPS_PER_QUESTION > (this.#inside?.limits.steps ?? Infinity);
    return this.#interrupted;
  }

  #evaluate(code: string, scope: Scope): Pick<RunResult, 'value' | 'error'> {
    this.#ask('begin', scope.manage(this.context.newNumber(this.#limit)));
    const came = this.#outcome(code, scope);
    if (this.#ask('overflowed')) {
      this.#cut = true;
      this.#stdout = `${this.#stdout.slice(0, this.#limit)}\n${this.#more('output')}\n`;
    }
    return came;
  }

  #outcome(code: string, scope: Scope): Pick<RunResult, 'value' | 'error'> {
    const { context } = this;
    const outcome = context.evalCode(code, 'code.js', { type: 'global' });
    if (outcome.error) return { error: this.#thrown(scope.manage(outcome.error)) };
    const value = scope.manage(outcome.value);
    this.#settle(scope);
    const promise = context.getPromiseState(value);
    switch (promise.type) {
      case 'pending':
        return { error: 'the promise is never settled: there are no timers and no input here' };
      case 'rejected':
        return { error: this.#thrown(scope.manage(promise.error)) };
      case 'fulfilled':
        return this.#text('show', promise.notAPromise ? value : scope.manage(promise.value));
    }
  }

  /** Runs what waits for promises until nothing does. */
  #settle(scope: Scope): void {
    for (;;) {
      const done = this.runtime.executePendingJobs(JOBS);
      if (done.error) this.#stdout += `in a promise: ${this.#thrown(scope.manage(done.error))}\n`;
      else if (done.value === 0) return;
      if (this.#isOver()) throw new StoppedError('steps');
    }
  }

  /** A value as text, or the error that kept it from being shown. */
  #text(helper: 'show' | 'describe', value: QuickJSHandle): Pick<RunResult, 'value' | 'error'> {
    const { context } = this;
    const outcome = context.callFunction(this.#helpers[helper], context.undefined, value);
    if (outcome.error) {
      outcome.error.dispose();
      if (this.#interrupted) throw new StoppedError('steps');
      return { error: 'what came of it cannot be shown: looking at it throws' };
    }
    const text = outcome.value.consume((shown) => context.getString(shown));
    if (!this.#ask('cut')) return { value: text };
    this.#cut = true;
    return { value: `${text}\n${this.#more('text')}` };
  }

  /**
   * What was thrown, as text.
   * @throws StoppedError where it was a limit that threw
   */
  #thrown(error: QuickJSHandle): string {
    if (this.#interrupted) throw new StoppedError('steps');
    const isNull = this.context.eq(error, this.context.null);
    if (isNull && this.images.isUsedUp()) throw new StoppedError('memory'); // there was no room for an error
    const { value, error: failed } = this.#text('describe', error);
    if (value?.startsWith(OUT_OF_MEMORY)) throw new StoppedError('memory');
    return value ?? failed!;
  }

  /** @returns the truth of the helper's result */
  #ask(helper: 'begin' | 'cut' | 'overflowed', ...args: QuickJSHandle[]): boolean {
    const { context } = this;
    const outcome = context.callFunction(this.#helpers[helper], context.undefined, ...args);
    if (!outcome.error) return outcome.value.consume((answer) => context.eq(answer, context.true));
    outcome.error.dispose();
    throw new StoppedError(this.#interrupted ? 'steps' : 'memory');
  }

  get #limit(): number {
    return this.#inside!.limits.outputLength;
  }

  #more(what: 'text' | 'output'): string {
    return `[the ${what} goes on: its first ${this.#limit} characters are shown]`;
  }

  #explain(stop: Stop): string {
    const { steps } = this.#inside!.limits;
    const what = stop === 'steps' ? `after ${steps} steps` : `at ${SANDBOX_MEMORY_BYTES} bytes of memory`;
    return `stopped ${what}; nothing that was declared is left`;
  }
}
