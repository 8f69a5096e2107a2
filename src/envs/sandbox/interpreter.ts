/**
 * @file The interpreter: QuickJS in WebAssembly, with one heap and one global scope for each sandbox. The code in it sees the
 * JavaScript language, a console and nothing else: no network, no page, no modules, no timers, no clock. Math.random is a
 * function of the sandbox's key, so that the same code gives the same text on every machine.
 */
import { QuickJSFFI } from '@jitl/quickjs-singlefile-browser-release-sync/ffi';
import loadModule from '@jitl/quickjs-singlefile-browser-release-sync/emscripten-module';
import { Scope, newQuickJSWASMModuleFromVariant } from 'quickjs-emscripten-core';
import type { QuickJSContext, QuickJSHandle, QuickJSRuntime, QuickJSWASMModule } from 'quickjs-emscripten-core';
import { Random } from '../../random';
import type { RandomKey } from '../../random';
import prelude from './prelude.js?raw';
import type { RunResult, SandboxLimits, Stop } from './protocol';

/** After how many steps the interpreter asks whether to go on: fixed when QuickJS was compiled. */
const STEPS_PER_QUESTION = 10_000;

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

/** Things that waited for promises and are done in a row before it is asked whether to go on: each counts as 100 steps. */
const JOBS = 100;

type Helper = 'begin' | 'overflowed' | 'cut' | 'show' | 'describe';

/** How QuickJS begins to say so. */
const OUT_OF_MEMORY = 'InternalError: out of memory';

/** Some code was stopped; the sandbox it ran in is of no use any more. */
class StoppedError extends Error {
  constructor(readonly stop: Stop) {
    super(stop);
  }
}

export class Interpreter {
  readonly #open = new Map<number, Repl>();

  private constructor(private readonly module: QuickJSWASMModule) {}

  static async load(): Promise<Interpreter> {
    const module = await newQuickJSWASMModuleFromVariant({
      type: 'sync',
      importFFI: () => Promise.resolve(QuickJSFFI),
      importModuleLoader: () => Promise.resolve(loadModule),
    });
    return new Interpreter(module);
  }

  /** Bytes that WebAssembly has taken for all sandboxes: they are reused and never given back. */
  get heapBytes(): number {
    return this.module.getWasmMemory().buffer.byteLength;
  }

  open(sandbox: number, limits: SandboxLimits, key: RandomKey): void {
    this.#open.set(sandbox, new Repl(this.module.newRuntime(), limits, key));
  }

  /**
   * Runs code in a sandbox. One that was stopped is closed.
   * @throws what the interpreter itself dies of; nothing that it holds is of use then
   */
  run(sandbox: number, code: string): RunResult {
    const repl = this.#open.get(sandbox)!;
    const result = repl.run(code);
    if (result.stopped) this.close(sandbox);
    return result;
  }

  close(sandbox: number): void {
    this.#open.get(sandbox)?.dispose();
    this.#open.delete(sandbox);
  }
}

/** One sandbox: a heap, a global scope, and what has been declared in it so far. */
class Repl {
  readonly #context: QuickJSContext;
  readonly #helpers: Record<Helper, QuickJSHandle>;
  #questions = 0;
  #interrupted = false;
  #stdout = '';
  #cut = false;

  constructor(
    private readonly runtime: QuickJSRuntime,
    private readonly limits: SandboxLimits,
    key: RandomKey,
  ) {
    runtime.setMemoryLimit(limits.memoryBytes);
    runtime.setMaxStackSize(limits.stackBytes);
    runtime.setInterruptHandler(() => this.#isOver());
    this.#context = runtime.newContext({ intrinsics: INTRINSICS });
    this.#helpers = this.#prepare(new Random(key));
  }

  #prepare(random: Random): Record<Helper, QuickJSHandle> {
    const context = this.#context;
    const print = context.newFunction('print', (line) => {
      this.#stdout += `${context.getString(line)}\n`;
    });
    const draw = context.newFunction('random', () => context.newNumber(random.next()));
    const limit = context.newNumber(this.limits.outputLength);
    const prepare = context.unwrapResult(context.evalCode(prelude, 'prelude.js'));
    const made = context.unwrapResult(context.callFunction(prepare, context.undefined, print, draw, limit));
    const helper = (name: Helper) => context.getProp(made, name);
    const helpers = {
      begin: helper('begin'),
      overflowed: helper('overflowed'),
      cut: helper('cut'),
      show: helper('show'),
      describe: helper('describe'),
    };
    for (const handle of [print, draw, limit, prepare, made]) handle.dispose();
    return helpers;
  }

  /** Counts, and says whether the steps are used up: from then on everything is interrupted. */
  #isOver(): boolean {
    this.#interrupted ||= ++this.#questions * STEPS_PER_QUESTION > this.limits.steps;
    return this.#interrupted;
  }

  run(code: string): RunResult {
    this.#questions = 0;
    this.#interrupted = false;
    this.#stdout = '';
    this.#cut = false;
    const { codeLength } = this.limits;
    if (code.length > codeLength) {
      const error = `the code has ${code.length} characters; at most ${codeLength} fit`;
      return { stdout: '', error, cut: false, steps: 0 };
    }
    let rest: Pick<RunResult, 'value' | 'error' | 'stopped'>;
    try {
      rest = Scope.withScope((scope) => {
        this.#call('begin');
        const came = this.#evaluate(code, scope);
        this.#finishOutput();
        return came;
      });
    } catch (error) {
      if (!(error instanceof StoppedError)) throw error;
      rest = { error: this.#explain(error.stop), stopped: error.stop };
    }
    return { stdout: this.#stdout, ...rest, cut: this.#cut, steps: this.#questions * STEPS_PER_QUESTION };
  }

  #evaluate(code: string, scope: Scope): Pick<RunResult, 'value' | 'error'> {
    const context = this.#context;
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
    const context = this.#context;
    const outcome = context.callFunction(this.#helpers[helper], context.undefined, value);
    if (outcome.error) {
      outcome.error.dispose();
      if (this.#interrupted) throw new StoppedError('steps');
      return { error: 'what came of it cannot be shown: looking at it throws' };
    }
    const text = outcome.value.consume((shown) => context.getString(shown));
    if (!this.#call('cut')) return { value: text };
    this.#cut = true;
    return { value: `${text}\n${this.#more('text')}` };
  }

  /**
   * What was thrown, as text.
   * @throws StoppedError where it was a limit that threw
   */
  #thrown(error: QuickJSHandle): string {
    if (this.#interrupted) throw new StoppedError('steps');
    const { value, error: failed } = this.#text('describe', error);
    if (value?.startsWith(OUT_OF_MEMORY)) throw new StoppedError('memory');
    return value ?? failed!;
  }

  /** @returns the truth of the helper's result */
  #call(helper: 'begin' | 'cut' | 'overflowed'): boolean {
    const context = this.#context;
    const outcome = context.callFunction(this.#helpers[helper], context.undefined);
    if (!outcome.error) return outcome.value.consume((answer) => context.eq(answer, context.true));
    outcome.error.dispose();
    throw new StoppedError(this.#interrupted ? 'steps' : 'memory');
  }

  #finishOutput(): void {
    if (!this.#call('overflowed')) return;
    this.#cut = true;
    this.#stdout = `${this.#stdout.slice(0, this.limits.outputLength)}\n${this.#more('output')}\n`;
  }

  #more(what: 'text' | 'output'): string {
    return `[the ${what} goes on: its first ${this.limits.outputLength} characters are shown]`;
  }

  #explain(stop: Stop): string {
    const { steps, memoryBytes } = this.limits;
    const what = stop === 'steps' ? `after ${steps} steps` : `at ${memoryBytes} bytes of memory`;
    return `stopped ${what}; nothing that was declared is left`;
  }

  dispose(): void {
    for (const handle of Object.values(this.#helpers)) handle.dispose();
    this.#context.dispose();
    this.runtime.dispose();
  }
}
