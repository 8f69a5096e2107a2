/** @file The program in an exported package: plays its environment for an engine that has the model. */
import { Console } from 'node:console';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { exampleAt, generated, nodeWorker, provideSandboxWorker } from '../../../src/envs';
import type { Environment, Example, TaskRow } from '../../../src/envs';
import { Session } from './session';
import { WireError, completionIn, promptIn } from './wire';
import type { WireAnswer, WireRequest } from './wire';

/** Answers requests until there are no more. */
export class EnvironmentServer {
  readonly #sessions = new Map<string, Session>();

  constructor(private readonly env: Environment) {}

  /** Answers one line. */
  async answer(line: string): Promise<WireAnswer> {
    let id = -1;
    try {
      const request = JSON.parse(line) as WireRequest;
      ({ id } = request);
      return { id, ok: await this.#do(request) };
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      return { id, error: { name, message } };
    }
  }

  /** Ends what is still played. */
  async close(): Promise<void> {
    for (const session of this.#sessions.values()) session.end();
    await this.env.teardown();
  }

  async #do(request: WireRequest): Promise<unknown> {
    const { op, session: name } = request;
    if (op === 'hello') return { environment: this.env.name, node: process.version };
    if (typeof name !== 'string') throw new WireError(`${op}: which session?`);
    if (op === 'start') {
      if (this.#sessions.has(name)) throw new WireError(`start: there is a session ${name} already`);
      const session = new Session(this.env, await exampleIn(request), optionsIn(request));
      this.#sessions.set(name, session);
      return session.turn();
    }
    const session = this.#sessions.get(name);
    if (!session) throw new WireError(`${op}: there is no session ${name}`);
    switch (op) {
      case 'step':
        session.reply(completionIn(request));
        return session.turn();
      case 'stop':
        session.stop(textOf(request.condition) ?? 'prompt_too_long');
        return session.turn();
      case 'fail':
        session.fail(textOf(request.message) ?? 'the model failed');
        return session.turn();
      case 'score':
        return session.score();
      case 'end':
        session.end();
        this.#sessions.delete(name);
        return null;
      default:
        throw new WireError(`there is no request ${op}; there are start, step, stop, fail, score and end`);
    }
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The task as the engine has it: what the model was told counts, whoever made it. */
function exampleIn({ task }: WireRequest): Promise<Example> {
  const { example_id: id, prompt, ...row } = Object(task) as Record<string, unknown>;
  if (!Number.isSafeInteger(id) || (id as number) < 0) throw new WireError('start: the task has no example_id');
  const one: TaskRow = { ...row, prompt: promptIn(prompt) };
  return exampleAt(
    generated(() => one),
    id as number,
  );
}

function optionsIn({ split, seed = 0, draw = 0, rollout = 0 }: WireRequest) {
  if (split !== 'train' && split !== 'eval') throw new WireError('start: split is neither train nor eval');
  for (const [name, value] of Object.entries({ seed, draw, rollout })) {
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw new WireError(`start: ${name} is no whole number`);
  }
  return { split, seed: seed as number, draw: draw as number, rollout: rollout as number } as const;
}

/**
 * Serves an environment on this process's standard streams. What the environment's code prints goes to standard error:
 * standard output is for answers alone.
 * @param sandboxWorker built from envs/sandbox/lazy-worker.ts
 */
export async function serveEnvironment(
  load: () => Environment | Promise<Environment>,
  sandboxWorker: URL,
): Promise<void> {
  globalThis.console = new Console(process.stderr);
  provideSandboxWorker(() => nodeWorker(sandboxWorker));
  await serveLines(new EnvironmentServer(await load()), process.stdin, process.stdout);
  process.exit(0); // whatever timers the environment has left
}

/** Answers each line as soon as it can; the order of the answers is not that of the requests. */
export async function serveLines(server: EnvironmentServer, input: Readable, output: Writable): Promise<void> {
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    void server.answer(line).then((answer) => output.write(`${JSON.stringify(answer)}\n`));
  }
  await server.close();
}
