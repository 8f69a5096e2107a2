/** @file How a model that brings its own template writes its calls: read off the template, which renders such calls itself. */
import type { ParsedReply } from './format';
import { parseHermesCalls } from './hermes';
import { parseLlama3Calls } from './llama3';

export type ReplyParser = (text: string) => ParsedReply;

/** @param tokens of the vocabulary, where they are known: for templates that say nothing of calls */
export function replyParser(template: string, tokens: readonly string[] = []): ReplyParser {
  if (template.includes('<tool_call>')) return parseHermesCalls;
  if (template.includes('ipython')) return parseLlama3Calls;
  if (tokens.includes('<tool_call>')) return parseHermesCalls;
  if (tokens.includes('<|python_tag|>')) return parseLlama3Calls;
  return (content) => ({ content, toolCalls: [], issues: [] });
}
