/** @file Tokens of a rollout as verifiers counts them. */
import type { Trace } from '../trace';

/** Under the names of results.jsonl. */
export interface TokenUsage {
  /** Prompt tokens of all requests together: what was read. */
  input_tokens: number;
  /** Sampled tokens of all requests together. */
  output_tokens: number;
  /** Sampled tokens in the conversation as it ended: the same number. */
  final_output_tokens: number;
  /** All other tokens of the conversation as it ended. */
  final_input_tokens: number;
}

/** A trace from a results file: what the file says of its tokens wins over its turns. */
export interface SavedTrace extends Trace {
  tokenUsage: TokenUsage | null;
}

/** Tokens of a rollout; null where the model did not count them. */
export function tokenUsage(trace: Trace | SavedTrace): TokenUsage | null {
  if ('tokenUsage' in trace) return trace.tokenUsage;
  let [input, output, last] = [0, 0, 0];
  for (const { tokens, usage } of trace.turns) {
    const prompt = tokens?.promptIds.length ?? usage?.promptTokens ?? 0;
    const completion = tokens?.completionIds.length ?? usage?.completionTokens ?? 0;
    input += prompt;
    output += completion;
    last = prompt + completion;
  }
  if (input === 0 && output === 0) return null;
  return {
    input_tokens: input,
    output_tokens: output,
    final_output_tokens: output,
    final_input_tokens: Math.max(0, last - output),
  };
}
