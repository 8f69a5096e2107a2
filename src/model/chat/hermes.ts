/**
 * @file The chat format of Qwen and Hermes models: ChatML with calls as JSON between <tool_call> tags.
 *
 *     <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call><|im_end|>\n
 */
import type { Message, ToolCall, ToolSchema } from '../../envs';
import { excerpt } from './format';
import type { ChatTokenizer, ParsedReply } from './format';
import { callOf, spacedJson } from './json_call';
import { PiecewiseChat } from './piecewise';
import type { Piece } from './piecewise';

export interface HermesTokens {
  imStart: number;
  imEnd: number;
}

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

export class HermesChat extends PiecewiseChat {
  readonly stopTokens: readonly number[];

  constructor(
    tokenizer: ChatTokenizer,
    private readonly special: HermesTokens,
  ) {
    super(tokenizer);
    this.stopTokens = [special.imEnd];
  }

  protected begin(_messages: readonly Message[], tools: readonly ToolSchema[]): Piece[] {
    if (tools.length === 0) return [];
    const { imStart, imEnd } = this.special;
    const list = tools.map((tool) => `\n${spacedJson({ type: 'function', function: tool })}`).join('');
    return [imStart, `system\nTools:${list}`, imEnd, '\n'];
  }

  protected open({ role }: Pick<Message, 'role'>): Piece[] {
    return [this.special.imStart, role === 'tool' ? 'user\n<tool_response>\n' : `${role}\n`];
  }

  protected body({ content, toolCalls = [] }: Message): string {
    return content + toolCalls.map(formatHermesCall).join('');
  }

  protected close({ role }: Pick<Message, 'role'>): Piece[] {
    return [...(role === 'tool' ? ['\n</tool_response>'] : []), this.special.imEnd, '\n'];
  }

  protected take(text: string): ParsedReply {
    return parseHermesCalls(text);
  }
}

export function formatHermesCall({ name, arguments: json }: Pick<ToolCall, 'name' | 'arguments'>): string {
  return `${OPEN}\n${spacedJson({ name, arguments: JSON.parse(json) as unknown })}\n${CLOSE}`;
}

/** Reads every <tool_call> of a reply; what stands around them is its content. */
export function parseHermesCalls(text: string): ParsedReply {
  const reply: ParsedReply = { content: '', toolCalls: [], issues: [] };
  let at = 0;
  for (;;) {
    const begin = text.indexOf(OPEN, at);
    if (begin < 0) break;
    reply.content += text.slice(at, begin);
    const from = begin + OPEN.length;
    const close = text.indexOf(CLOSE, from);
    const next = text.indexOf(OPEN, from);
    // A call that was never closed ends where the next one begins, or with the text.
    const closed = close >= 0 && (next < 0 || close < next);
    const end = closed ? close : next < 0 ? text.length : next;
    const inner = text.slice(from, end).trim();
    const call = reply.toolCalls.length;
    const { name, args, problem, repairs } = callOf(inner, 'arguments');
    reply.toolCalls.push({ name, arguments: args });
    const notes = closed ? repairs : [...repairs, `${OPEN} without ${CLOSE}`];
    if (problem !== undefined) {
      reply.issues.push({ severity: 'malformed', message: problem, text: excerpt(inner), call });
    } else {
      for (const message of notes) reply.issues.push({ severity: 'repaired', message, text: excerpt(inner), call });
    }
    at = closed ? close + CLOSE.length : end;
  }
  reply.content += text.slice(at);
  if (reply.toolCalls.length > 0) reply.content = reply.content.trim();
  return reply;
}
