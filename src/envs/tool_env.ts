/**
 * @file Environments with tools: the model calls, the environment answers with tool messages, until a reply calls nothing.
 * A tool that fails is a tool message that says so, unless its error is listed in `stopErrors`.
 */
import { withTimeLimit } from './deadline';
import { MultiTurnEnv, withMonitors } from './multi_turn';
import type { MultiTurnOptions } from './multi_turn';
import type { State } from './state';
import { MalformedToolCallError, UnknownToolError, parseToolArguments } from './tools';
import type { Tool } from './tools';
import { strictParameters } from './tool_schema';
import type { JsonSchema } from './tool_schema';
import { traceError } from './trace';
import type { Message, ToolCall, ToolSchema } from './types';

export interface ToolEnvOptions extends MultiTurnOptions {
  tools?: readonly Tool[];
  /** Errors that end the rollout as failed instead of becoming tool messages: classes, or their names. */
  stopErrors?: readonly (string | (new (...args: never[]) => Error))[];
  /** The text of the tool message for an error. */
  errorFormatter?: (error: Error) => string;
  /** The text of the tool message for a result. */
  resultFormatter?: (result: unknown) => string;
  /** Seconds that one call may take. */
  toolTimeoutSeconds?: number;
  /** Characters of a tool message; a longer result is an error that says so. */
  maxResultLength?: number;
}

const DEFAULT_MAX_TURNS = 10;
const DEFAULT_TOOL_TIMEOUT_SECONDS = 60;
const DEFAULT_MAX_RESULT_LENGTH = 100_000;

export class ToolEnv extends MultiTurnEnv {
  readonly #tools = new Map<string, Tool>();
  readonly #options: ToolEnvOptions;
  readonly #callMetrics: Record<string, (args: { state: State }) => number>;

  constructor(options: ToolEnvOptions) {
    const callMetrics: Record<string, (args: { state: State }) => number> = {
      total_tool_calls: ({ state }) => countCalls(state),
    };
    for (const { name } of options.tools ?? []) callMetrics[`${name}_calls`] = ({ state }) => countCalls(state, name);
    super({ maxTurns: DEFAULT_MAX_TURNS, ...options, rubric: withMonitors(options.rubric, callMetrics) });
    this.#options = options;
    this.#callMetrics = callMetrics;
    for (const tool of options.tools ?? []) this.#register(tool);
    this.addStop(
      'no_tools_called',
      ({ turns, completion }) => turns.length > 0 && !lastAssistant(completion)?.toolCalls?.length,
    );
  }

  /** The tools by name. */
  get tools(): ReadonlyMap<string, Tool> {
    return this.#tools;
  }

  #register(tool: Tool): void {
    if (this.#tools.has(tool.name)) throw new TypeError(`${this.name} has two tools named ${tool.name}`);
    this.#tools.set(tool.name, tool);
  }

  /** Adds a tool after construction: its calls are counted like those of the others. */
  addTool(tool: Tool): void {
    this.#register(tool);
    if (`${tool.name}_calls` in this.#callMetrics) return;
    const monitors = this.rubric.members().at(-2)!; // those of this class; the last are MultiTurnEnv's
    monitors.addMetric(`${tool.name}_calls`, ({ state }) => countCalls(state, tool.name));
  }

  override toolSchemas(): readonly ToolSchema[] {
    return [...this.#tools.values()].map(({ schema }) => schema);
  }

  protected override async envResponse(state: State): Promise<Message[]> {
    const messages: Message[] = [];
    const reply = lastAssistant(state.completion)!;
    for (const call of reply.toolCalls ?? []) {
      const content = await this.callTool(call, reply, state);
      messages.push({ role: 'tool', content, toolCallId: call.id });
      if (state.error) break;
    }
    return messages;
  }

  /** The arguments of a call before they are checked; subclasses add what the model does not see. */
  protected prepareArguments(
    _tool: Tool,
    args: Record<string, unknown>,
    _state: State,
  ): Record<string, unknown> | Promise<Record<string, unknown>> {
    return args;
  }

  /** Runs one call; what comes back is the tool message's text. */
  protected async callTool(call: ToolCall, reply: Message, state: State): Promise<string> {
    const { errorFormatter = ({ message }) => message, resultFormatter = formatResult } = this.#options;
    const { toolTimeoutSeconds = DEFAULT_TOOL_TIMEOUT_SECONDS, maxResultLength = DEFAULT_MAX_RESULT_LENGTH } =
      this.#options;
    try {
      const malformed = reply.issues?.find(
        ({ severity, toolCallId }) => severity === 'malformed' && toolCallId === call.id,
      );
      if (malformed) throw new MalformedToolCallError(malformed.message);
      const tool = this.#tools.get(call.name);
      if (!tool) throw new UnknownToolError(call.name, [...this.#tools.keys()]);
      const args = await tool.check(await this.prepareArguments(tool, parseToolArguments(call.arguments), state));
      const result = await withTimeLimit(`tool ${tool.name}`, toolTimeoutSeconds, state.signal, (signal) =>
        tool.run(args, { state, signal }),
      );
      const text = resultFormatter(result);
      if (text.length > maxResultLength) {
        throw new RangeError(
          `the result of ${tool.name} has ${text.length} characters; at most ${maxResultLength} fit`,
        );
      }
      return text;
    } catch (thrown) {
      state.signal.throwIfAborted();
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      if (this.#stops(error)) state.error = traceError('environment', error, `tool ${call.name}`);
      return errorFormatter(error);
    }
  }

  #stops(error: Error): boolean {
    const { stopErrors = [] } = this.#options;
    return stopErrors.some((kind) => (typeof kind === 'string' ? error.name === kind : error instanceof kind));
  }
}

/**
 * Tools whose calls need something the model neither sees nor may set: a session, a database, the rollout's world. The
 * hidden arguments are left out of the schema, and whatever the model puts there is replaced.
 */
export abstract class StatefulToolEnv extends ToolEnv {
  readonly #hidden = new Map<string, readonly string[]>();

  /** Fills in the hidden arguments of a call. */
  protected abstract updateToolArgs(
    tool: string,
    args: Record<string, unknown>,
    messages: readonly Message[],
    state: State,
  ): Record<string, unknown> | Promise<Record<string, unknown>>;

  /**
   * Adds a tool.
   * @param argsToSkip arguments that the model does not see; `updateToolArgs` fills them
   */
  override addTool(tool: Tool, argsToSkip: readonly string[] = []): void {
    const visible = hideArguments(tool, argsToSkip);
    this.#hidden.set(tool.name, argsToSkip);
    super.addTool(visible);
  }

  protected override async prepareArguments(
    tool: Tool,
    args: Record<string, unknown>,
    state: State,
  ): Promise<Record<string, unknown>> {
    const hidden = this.#hidden.get(tool.name) ?? [];
    const given = Object.fromEntries(Object.entries(args).filter(([name]) => !hidden.includes(name)));
    return this.updateToolArgs(tool.name, given, [...state.prompt, ...state.completion], state);
  }
}

/** The same tool with some arguments left out of its schema. */
function hideArguments(tool: Tool, hidden: readonly string[]): Tool {
  const { properties = {}, ...rest } = tool.schema.parameters as { properties?: Record<string, JsonSchema> };
  const unknown = hidden.find((name) => !(name in properties));
  if (unknown !== undefined) throw new TypeError(`tool ${tool.name} has no argument ${unknown} to hide`);
  const shown = Object.fromEntries(Object.entries(properties).filter(([name]) => !hidden.includes(name)));
  const parameters = strictParameters(tool.name, { ...rest, properties: shown });
  return { ...tool, schema: { ...tool.schema, parameters } };
}

/** Text as it is, everything else as JSON. */
function formatResult(result: unknown): string {
  return typeof result === 'string' ? result : (JSON.stringify(result) ?? 'null');
}

function lastAssistant(completion: readonly Message[]): Message | undefined {
  return completion.findLast(({ role }) => role === 'assistant');
}

function countCalls({ completion }: State, name?: string): number {
  const calls = completion.flatMap(({ toolCalls = [] }) => toolCalls);
  return name === undefined ? calls.length : calls.filter((call) => call.name === name).length;
}
