/**
 * @file The chat format of our small models.
 *
 *     <bos><|user|>krvam<|assistant|>mavrk<eos><|tool|>...<|assistant|>
 *
 * A message is its role's token and its text; assistant messages end with <eos>; <|assistant|> at the end asks for a
 * reply. Special tokens are ids, never text, so no message can forge one. A tool call is a reply of the form
 * `search( Karbek, 3)`: the tool's name and its arguments in the order of its schema, each after one space. The model
 * knows its tools from training; no prompt lists them.
 */
import type { Message, Role, ToolCall, ToolSchema } from '../../envs';
import type { SpecialToken, TinyTokenizer } from '../tokenizer';
import { excerpt } from './format';
import type { ParsedReply } from './format';
import { PiecewiseChat } from './piecewise';
import type { Piece } from './piecewise';

/** The same format as a Jinja template, for other engines. */
export const CHAT_TEMPLATE =
  "{{ '<bos>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}" +
  "{% if message['tool_calls'] %}{% for call in message['tool_calls'] %}{% if call['function'] %}{% set call = call['function'] %}{% endif %}" +
  "{{ call['name'] + '(' }}{% for value in call['arguments'].values() %}{{ ' ' + value | string }}" +
  "{% if not loop.last %},{% endif %}{% endfor %}{{ ')' }}{% endfor %}{% else %}{{ message['content'] }}{% endif %}" +
  "{% if message['role'] == 'assistant' %}{{ '<eos>' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

export class TinyChat extends PiecewiseChat {
  readonly stopTokens: readonly number[];

  constructor(override readonly tokenizer: TinyTokenizer) {
    super(tokenizer);
    this.stopTokens = [tokenizer.id('<eos>')];
  }

  protected begin(): Piece[] {
    return [this.tokenizer.id('<bos>')];
  }

  protected open({ role }: Pick<Message, 'role'>): Piece[] {
    return [this.tokenizer.id(roleToken(role))];
  }

  protected body({ content, toolCalls = [] }: Message): string {
    return content + toolCalls.map(formatTinyCall).join('');
  }

  protected close({ role }: Pick<Message, 'role'>): Piece[] {
    return role === 'assistant' ? [this.tokenizer.id('<eos>')] : [];
  }

  protected take(text: string, tools: readonly ToolSchema[]): ParsedReply {
    return parseTinyCall(text, tools);
  }
}

function roleToken(role: Role): SpecialToken {
  return `<|${role}|>`;
}

/** `search( Karbek)` */
export function formatTinyCall({ name, arguments: json }: Pick<ToolCall, 'name' | 'arguments'>): string {
  const values = Object.values(JSON.parse(json) as Record<string, unknown>);
  const texts = values.map((value) => ` ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${name}(${texts.join(',')})`;
}

/** Reads a reply as a call when it begins like one: a name and an opening parenthesis. */
export function parseTinyCall(text: string, tools: readonly ToolSchema[]): ParsedReply {
  const match = /^([A-Za-z_]\w{0,63})\(/.exec(text);
  if (!match) return { content: text, toolCalls: [], issues: [] };
  const name = match[1]!;
  const malformed = (message: string): ParsedReply => ({
    content: text,
    toolCalls: [{ name, arguments: '{}' }],
    issues: [{ severity: 'malformed', message, text: excerpt(text), call: 0 }],
  });
  const end = text.indexOf(')', match[0].length);
  if (end < 0) return malformed('the call has no closing parenthesis');
  if (end < text.length - 1) return malformed('something follows the closing parenthesis');
  const inner = text.slice(match[0].length, end);
  const values = inner === '' ? [] : inner.split(',');
  const issues: ParsedReply['issues'] = [];
  if (values.some((value) => !value.startsWith(' '))) {
    issues.push({
      severity: 'repaired',
      message: 'an argument without a space before it',
      text: excerpt(text),
      call: 0,
    });
  }
  const known = tools.find((tool) => tool.name === name);
  const properties = Object.entries(
    (known?.parameters as { properties?: Record<string, { type?: string }> } | undefined)?.properties ?? {},
  );
  if (known && values.length > properties.length) {
    return malformed(`${name} takes ${properties.length} arguments, not ${values.length}`);
  }
  const args = values.map((raw, i): [string, unknown] => {
    const value = raw.startsWith(' ') ? raw.slice(1) : raw;
    const [key, { type }] = properties[i] ?? [`argument_${i}`, {}];
    return [key, typed(value, type)];
  });
  return { content: '', toolCalls: [{ name, arguments: JSON.stringify(Object.fromEntries(args)) }], issues };
}

/** A value as the schema wants it, where its text allows that; otherwise the text, and the schema says no. */
function typed(value: string, type: string | undefined): unknown {
  if ((type === 'number' || type === 'integer') && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}
