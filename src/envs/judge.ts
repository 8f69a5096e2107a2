/**
 * @file A judge: a model that is asked about a finished rollout. The same question about the same rollout is asked once;
 * one that the judge failed to answer may be asked again.
 */
import { PURPOSE, subKey } from '../random';
import type { RewardArgs } from './rubric';
import type { State } from './state';
import type { ChatModel, SamplingArgs } from './types';

export interface JudgeOptions {
  /** With `{question}`, `{answer}` and `{response}` to be filled in; a brace of the text itself is doubled: `{{`, `}}`. */
  prompt?: string;
  sampling?: SamplingArgs;
}

/** What the judge is asked unless the environment says otherwise. */
export const JUDGE_PROMPT = `Here are a question, the right answer to it, and a response. Does the response say the same as the right answer?

Question:
{question}

Right answer:
{answer}

Response:
{response}

Reply with "yes" or "no" and nothing else.`;

const FIELDS = ['question', 'answer', 'response'] as const;

export class Judge {
  readonly #prompt: string;
  readonly #sampling: SamplingArgs;
  readonly #replies = new WeakMap<State, Map<string, Promise<string>>>();
  readonly #calls = new WeakMap<State, number>();

  /** @throws TypeError for a prompt with a field that there is not */
  constructor(
    readonly model: ChatModel,
    { prompt = JUDGE_PROMPT, sampling = { temperature: 0 } }: JudgeOptions = {},
  ) {
    this.#prompt = prompt;
    this.#sampling = sampling;
    fillIn(prompt, { question: '', answer: '', response: '' });
  }

  /** How often the model was asked about a rollout. */
  calls(state: State): number {
    return this.#calls.get(state) ?? 0;
  }

  /** What the judge says of a rollout: about its last question and the answer that the parser finds in it. */
  ask({ prompt, completion, answer, parser, state }: RewardArgs): Promise<string> {
    // A judge is told that there is no answer, in verifiers' word for it: '' would look like a hole in the prompt.
    const response = parser.parseAnswer(completion) ?? 'None';
    const text = fillIn(this.#prompt, { question: prompt.at(-1)?.content ?? '', answer, response });
    const known = this.#replies.get(state) ?? new Map<string, Promise<string>>();
    this.#replies.set(state, known);
    const asked = known.get(text) ?? this.#complete(text, state);
    known.set(text, asked);
    asked.catch(() => known.delete(text));
    return asked;
  }

  async #complete(content: string, state: State): Promise<string> {
    const call = this.calls(state);
    this.#calls.set(state, call + 1);
    const { message } = await this.model.complete(
      {
        messages: [{ role: 'user', content }],
        sampling: this.#sampling,
        key: subKey(state.random.key, PURPOSE.judge, call),
      },
      { signal: state.signal },
    );
    return message.content;
  }
}

/** Fills a template in, as Python's `format` does for named fields. */
function fillIn(template: string, values: Record<(typeof FIELDS)[number], string>): string {
  return template.replaceAll(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (match, field: string | undefined) => {
    if (match === '{{' || match === '}}') return match[0]!;
    const known = FIELDS.find((name) => name === field);
    if (known) return values[known];
    throw new TypeError(
      `the judge's prompt has ${JSON.stringify(match)}; its fields are ${FIELDS.map((name) => `{${name}}`).join(', ')}, ` +
        'and a brace of the text is doubled',
    );
  });
}
