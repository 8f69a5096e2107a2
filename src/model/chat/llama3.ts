/**
 * @file The chat format of Llama 3: headers around roles, and a reply that is a JSON object is a call.
 *
 *     <|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{"name": "f", "parameters": {}}<|eot_id|>
 */
import type { Message, ToolCall, ToolSchema } from '../../envs';
import { excerpt } from './format';
import type { ChatTokenizer, ParsedReply } from './format';
import { callOf, objectEnd, spacedJson } from './json_call';
import { PiecewiseChat } from './piecewise';
import type { Piece } from './piecewise';

export interface Llama3Tokens {
  beginOfText: number;
  startHeader: number;
  endHeader: number;
  endOfTurn: number;
}

export class Llama3Chat extends PiecewiseChat {
  readonly stopTokens: readonly number[];

  constructor(
    tokenizer: ChatTokenizer,
    private readonly special: Llama3Tokens,
  ) {
    super(tokenizer);
    this.stopTokens = [special.endOfTurn];
  }

  protected begin(_messages: readonly Message[], tools: readonly ToolSchema[]): Piece[] {
    const { beginOfText, endOfTurn } = this.special;
    if (tools.length === 0) return [beginOfText];
    const list = tools.map((tool) => `\n${spacedJson({ type: 'function', function: tool })}`).join('');
    return [beginOfText, ...this.#header('system'), `Functions:${list}`, endOfTurn];
  }

  protected open({ role }: Pick<Message, 'role'>): Piece[] {
    return this.#header(role === 'tool' ? 'ipython' : role);
  }

  protected body({ content, toolCalls = [] }: Message): string {
    return content + toolCalls.map(formatLlama3Call).join('; ');
  }

  protected close(): Piece[] {
    return [this.special.endOfTurn];
  }

  protected take(text: string): ParsedReply {
    return parseLlama3Calls(text);
  }

  #header(role: string): Piece[] {
    return [this.special.startHeader, role, this.special.endHeader, '\n\n'];
  }
}

export function formatLlama3Call({ name, arguments: json }: Pick<ToolCall, 'name' | 'arguments'>): string {
  return spacedJson({ name, parameters: JSON.parse(json) as unknown });
}

/** Reads a reply that is one JSON object, or several with semicolons between them, as calls. */
export function parseLlama3Calls(text: string): ParsedReply {
  const trimmed = text.trim();
  const plain: ParsedReply = { content: text, toolCalls: [], issues: [] };
  if (!trimmed.startsWith('{') || !/^\{\s*"(name|type|parameters|function)"/.test(trimmed)) return plain;
  const reply: ParsedReply = { content: '', toolCalls: [], issues: [] };
  for (let at = 0; at < trimmed.length;) {
    const end = objectEnd(trimmed, at);
    const inner = trimmed.slice(at, end);
    const call = reply.toolCalls.length;
    const { name, args, problem, repairs } = callOf(inner, 'parameters');
    reply.toolCalls.push({ name, arguments: args });
    if (problem !== undefined) {
      reply.issues.push({ severity: 'malformed', message: problem, text: excerpt(inner), call });
    } else {
      for (const message of repairs) reply.issues.push({ severity: 'repaired', message, text: excerpt(inner), call });
    }
    const gap = /^[\s;]*/.exec(trimmed.slice(end))![0].length;
    at = end + gap;
    if (at < trimmed.length && trimmed[at] !== '{') {
      const rest = trimmed.slice(at);
      reply.issues.push({ severity: 'repaired', message: 'text after the call', text: excerpt(rest), call });
      reply.content = rest;
      break;
    }
  }
  return reply;
}
