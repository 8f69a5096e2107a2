/** @file Messages, tools and errors as the forms of verifiers' files have them. */
import type { Message, ToolCall, ToolSchema } from '../types';
import { isObject, listIn, objectIn, textIn } from './json_fields';
import type { Json } from './json_fields';

/** Upstream's errors that are the model's or the machine's: such rollouts are worth another try. */
export const MODEL_ERRORS = /Model|Infra|Sandbox|Tunnel|Provider|API|Timeout/;

/** Messages, or the plain text of a completion model. */
export function messagesIn(value: unknown, role: 'user' | 'assistant'): Message[] {
  if (typeof value === 'string') return [{ role, content: value }];
  return listIn<Json>(value).filter(isObject).map(messageIn);
}

function messageIn(message: Json): Message {
  const calls = listIn<unknown>(message.tool_calls).map(toolCallIn);
  return {
    role: textIn(message.role) as Message['role'],
    content: contentIn(message.content),
    ...(calls.length > 0 && { toolCalls: calls }),
    ...(typeof message.tool_call_id === 'string' && { toolCallId: message.tool_call_id }),
  };
}

/** Text; of a list of parts the texts, and what the others are. */
function contentIn(content: unknown): string {
  if (typeof content === 'string') return content;
  return listIn<Json>(content)
    .map((part) => (typeof part.text === 'string' ? part.text : `[${textIn(part.type) || 'content'}]`))
    .join('');
}

/** `{ id, name, arguments }` or `{ id, function: { name, arguments } }`, itself or as JSON text. */
function toolCallIn(value: unknown): ToolCall {
  let call = objectIn(value);
  if (typeof value === 'string') {
    try {
      call = objectIn(JSON.parse(value));
    } catch {
      call = { arguments: value }; // shown as it is
    }
  }
  const inner = isObject(call.function) ? call.function : call;
  const args = inner.arguments ?? '';
  return {
    id: textIn(call.id),
    name: textIn(inner.name),
    arguments: typeof args === 'string' ? args : JSON.stringify(args),
  };
}

/** Tools, bare or wrapped as functions. */
export function toolsIn(value: unknown): ToolSchema[] {
  return listIn<Json>(value).map((tool) => {
    const { name, description, parameters } = isObject(tool.function) ? tool.function : tool;
    return { name: textIn(name), description: textIn(description), parameters: objectIn(parameters) };
  });
}
