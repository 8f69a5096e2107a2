/** @file Messages and tools as chat templates expect them: the layout of transformers' apply_chat_template. */
import type { Message, ToolSchema } from '../../envs';

/** Arguments are an object, not text; a tool's answer says which tool. */
export function templateMessages(messages: readonly Message[]): Record<string, unknown>[] {
  const names = new Map(messages.flatMap(({ toolCalls = [] }) => toolCalls.map(({ id, name }) => [id, name])));
  return messages.map(({ role, content, toolCalls = [], toolCallId }) => ({
    role,
    content,
    ...(toolCalls.length > 0 && {
      tool_calls: toolCalls.map(({ id, name, arguments: args }) => ({
        id,
        type: 'function',
        function: { name, arguments: JSON.parse(args) as unknown },
      })),
    }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId, name: names.get(toolCallId) ?? '' }),
  }));
}

/** Null where there are none, as transformers says it. */
export function templateTools(tools: readonly ToolSchema[]): Record<string, unknown>[] | null {
  return tools.length > 0 ? tools.map((tool) => ({ type: 'function', function: tool })) : null;
}
