/** @file Picking messages out of a conversation, as every parser needs. */
import type { Role } from '../types';

/** The messages of one role, in order. */
export function messagesOf<M extends { role: Role }>(messages: readonly M[], role: Role): M[] {
  return messages.filter((message) => message.role === role);
}

/** Mean of a score over the assistant's messages; 0 when there are none. */
export function meanOverAssistant<M extends { role: Role; content: string }>(
  completion: readonly M[],
  score: (text: string) => number,
): number {
  const written = messagesOf(completion, 'assistant');
  if (written.length === 0) return 0;
  return written.reduce((sum, { content }) => sum + score(content), 0) / written.length;
}

/** How often `part` occurs in `text`, without overlaps. */
export function occurrences(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}
