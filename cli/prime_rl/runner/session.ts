/**
 * @file One rollout whose model is elsewhere. The environment's own `rolloutGroup` plays it, as in the page: what it asks
 * its model for goes out as a turn, and waits there for the reply. So whatever an environment does between two replies
 * (tools, sandboxes, games, users, stop conditions, scoring) is the very same code.
 */
import { formatSampling } from '../../../src/envs';
import { PURPOSE, deriveKey } from '../../../src/random';
import type { ChatModel, Completion, CompletionRequest, Environment, Example, Message, Trace } from '../../../src/envs';
import { WireError, messagesOut, resultOut } from './wire';
import type { WireResult, WireTurn } from './wire';

export interface SessionOptions {
  split: 'train' | 'eval';
  /** Together with split and example these decide the environment's dice, as in a run or an evaluation here. */
  seed: number;
  draw: number;
  rollout: number;
}

/** A request of the environment to its model that has no reply yet. */
interface Question {
  request: CompletionRequest;
  resolve: (completion: Completion) => void;
  reject: (error: Error) => void;
}

/** As far as an environment is concerned, the conversation does not fit the model any more. */
class ContextLengthError extends Error {
  override name = 'ContextLengthError';
}

export class Session {
  readonly #controller = new AbortController();
  readonly #played: Promise<Trace>;
  #question: Question | undefined;
  /** Called when there is a question. */
  #hear: (() => void) | undefined;
  /** Everything that was said, the reply to the last question included. */
  #said: readonly Message[] = [];
  /** Why the engine wanted no more, where it did. */
  #stopped: string | undefined;
  #over = false;
  #failure: WireError | undefined;

  constructor(
    readonly env: Environment,
    example: Example,
    { split, seed, draw, rollout }: SessionOptions,
  ) {
    const purpose = split === 'eval' ? PURPOSE.evaluation : PURPOSE.sampling;
    const key = deriveKey(seed, purpose, draw, example.exampleId, rollout, 0);
    const model: ChatModel = { name: 'remote', complete: (request, options) => this.#ask(request, options?.signal) };
    this.#played = env
      .rolloutGroup(example, model, [{ draw, rollout, key, signal: this.#controller.signal }])
      .then(([trace, ...others]) => {
        this.#over = true;
        if (this.#failure) throw this.#failure;
        if (others.length > 0) throw new WireError(`${env.name}: several seats are trained in one rollout`);
        return this.#stopped === undefined ? trace! : { ...trace!, stopCondition: this.#stopped };
      });
    this.#played.catch(() => undefined); // told by whoever asks
  }

  /** What is to be said to the model next, or the end. */
  async turn(): Promise<WireTurn> {
    const asked = new Promise<void>((hear) => (this.#hear = hear));
    const trace = this.#question ? undefined : await Promise.race([this.#played, asked.then(() => undefined)]);
    if (trace)
      return { done: true, messages: this.#news([...trace.prompt, ...trace.completion]), result: resultOut(trace) };
    const { messages, tools = [], sampling } = this.#question!.request;
    return { done: false, messages: this.#news(messages), tools, sampling: formatSampling(sampling) };
  }

  /** The model's reply; one that comes too late (the rollout ended by its time limit) counts no more, as in the page. */
  reply(completion: Completion): void {
    const question = this.#take();
    if (!question) return;
    this.#said = [...question.request.messages, completion.message];
    question.resolve(completion);
  }

  /**
   * No reply will come: the rollout ends, and is scored as it is.
   * @param condition what its result says
   */
  stop(condition: string): void {
    if (this.#over) return;
    this.#stopped = condition;
    const question = this.#take();
    if (!question) return; // the environment is busy: its next question is the last
    this.#said = question.request.messages;
    question.reject(new ContextLengthError(condition));
  }

  /** The model failed: the rollout ends without a reward. */
  fail(message: string): void {
    this.#take()?.reject(new Error(message));
  }

  async score(): Promise<WireResult> {
    if (this.#question) throw new WireError('score: the rollout is not done');
    return resultOut(await this.#played);
  }

  /** Cancels what is still played. */
  end(): void {
    this.#controller.abort(new Error('the rollout was ended'));
  }

  #take(): Question | undefined {
    const question = this.#question;
    this.#question = undefined;
    return question;
  }

  #ask(request: CompletionRequest, signal: AbortSignal | undefined): Promise<Completion> {
    return new Promise((resolve, reject) => {
      if (this.#question || !continues(request.messages, this.#said)) {
        const what = this.#question ? 'asks the model twice at once' : 'goes back on what was said';
        this.#failure ??= new WireError(`${this.env.name} ${what}: an engine cannot follow`);
        return reject(this.#failure);
      }
      if (signal?.aborted) return reject(signal.reason as Error);
      if (this.#stopped !== undefined) return reject(new ContextLengthError(this.#stopped));
      const question = { request, resolve, reject };
      this.#question = question;
      signal?.addEventListener('abort', () => {
        if (this.#question === question) this.#question = undefined;
        reject(signal.reason as Error);
      });
      this.#hear?.();
    });
  }

  /** What is new in a conversation. */
  #news(messages: readonly Message[]): object[] {
    return messagesOut(messages.slice(this.#said.length));
  }
}

/** Whether a conversation begins with what was said. */
function continues(messages: readonly Message[], said: readonly Message[]): boolean {
  return said.every((message, i) => messages[i]?.role === message.role && messages[i].content === message.content);
}
