/** @file A chat template: Jinja, by Hugging Face's JavaScript library, with the globals that transformers gives. */
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { CheckpointError, TemplateError } from '../../errors';
import { PYTHON_STRINGS, callPythonStrings } from './python_strings';
import { strftime } from './strftime';

/** Jinja's own sandbox allows no longer ranges. */
const LONGEST_RANGE = 100_000;

export interface TemplateInput {
  messages: readonly unknown[];
  /** Null where there are none. */
  tools?: readonly unknown[] | null | undefined;
  add_generation_prompt?: boolean;
  /** What a template may ask for besides: `enable_thinking`, ... */
  [name: string]: unknown;
}

export interface TemplateOptions {
  /** Where the template was read, for messages. */
  source: string;
  /** In scope of every rendering: texts of special tokens by their names. */
  variables?: Record<string, unknown>;
  now?: () => Date;
}

/** raise_exception: what a template says of a conversation that it does not take. */
class Refusal extends Error {}

export class ChatTemplate {
  readonly source: string;
  readonly #default: Template;
  /** Another one for conversations with tools. */
  readonly #tools: Template | undefined;
  readonly #variables: Record<string, unknown>;
  readonly #now: () => Date;

  /**
   * @param texts `default`, and where the model has one of its own for them, `tool_use`
   * @throws CheckpointError where a text is not Jinja
   */
  constructor(
    readonly texts: { default: string; tool_use?: string | undefined },
    { source, variables = {}, now = () => new Date() }: TemplateOptions,
  ) {
    this.source = source;
    this.#variables = variables;
    this.#now = now;
    this.#default = parse(texts.default, source);
    this.#tools = texts.tool_use === undefined ? undefined : parse(texts.tool_use, source);
  }

  /** @throws TemplateError with what the template says */
  render(input: TemplateInput): string {
    const template = (input.tools && this.#tools) ?? this.#default;
    const environment = new Environment();
    const variables = {
      tools: null,
      documents: null,
      add_generation_prompt: false,
      ...this.#globals(),
      ...this.#variables,
      ...input,
    };
    try {
      for (const [name, value] of Object.entries(variables)) environment.set(name, value);
      return new Interpreter(environment).run(template.parsed).value as string;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const what = error instanceof Refusal ? 'refuses this conversation' : 'fails to render';
      throw new TemplateError(`${this.source}: the chat template ${what}: ${message}`, { cause: error });
    }
  }

  #globals(): Record<string, unknown> {
    return {
      true: true,
      false: false,
      none: null,
      True: true,
      False: false,
      None: null,
      ...PYTHON_STRINGS,
      range,
      raise_exception: (message: unknown) => {
        throw new Refusal(String(message));
      },
      strftime_now: (format: string) => strftime(this.#now(), format),
    };
  }
}

function parse(text: string, source: string): Template {
  try {
    const template = new Template(text);
    callPythonStrings(template.parsed);
    return template;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`${source}: the chat template is not Jinja: ${message}`, { cause: error });
  }
}

/** Python's range. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= LONGEST_RANGE)) throw new RangeError(`range of ${length}; at most ${LONGEST_RANGE} are possible`);
  return Array.from({ length }, (_, i) => start + i * step);
}
