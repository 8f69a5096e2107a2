/** @file tokens.json: what one reply of an endpoint becomes: exact tokens cut at a limit, and the assistant's message. */
import { fitTokens, messageOfResponse, tokensOfResponse, wireMessage } from '../../src/envs';
import type { ChatResponse } from '../../src/envs';
import { readJsonFile } from './files';
import { golden, outcome } from './golden';
import type { GoldenCase } from './golden';

interface TokensFile {
  step_tokens: {
    id: string;
    response: ChatResponse;
    max_seq_len: number | null;
    expected?: unknown;
    raises?: { type: string; message: string };
  }[];
  step_messages: { id: string; message_type: 'chat' | 'completion'; response: ChatResponse; expected: unknown }[];
}

const FILE = 'tokens.json';

/**
 * The lists step_tokens and step_messages of verifiers' tokens.json.
 * @param dir the oracle's folder `verifiers`
 */
export function openaiCases(dir: string): GoldenCase[] {
  const { step_tokens: tokens, step_messages: messages } = readJsonFile(dir, FILE) as TokensFile;
  return [
    ...tokens.map(({ id, response, max_seq_len: limit, expected, raises }) => {
      const got = outcome(() => stepTokens(response, limit ?? Infinity));
      return golden(FILE, `step_tokens ${id}`, got, raises ? { raises: raises.message } : { value: expected });
    }),
    ...messages.map(({ id, message_type: type, response, expected }) => {
      const got = outcome(() => (type === 'chat' ? stepMessages(response) : messageOfResponse(response).content));
      return golden(FILE, `step_messages ${id}`, got, { value: expected });
    }),
  ];
}

function stepTokens(response: ChatResponse, limit: number): unknown {
  const tokens = tokensOfResponse(response);
  if (!tokens) return null;
  const fitted = fitTokens(tokens, limit);
  const { promptIds, completionIds, logprobs } = fitted.tokens;
  return {
    prompt_ids: promptIds,
    prompt_mask: promptIds.map(() => 0),
    completion_ids: completionIds,
    completion_mask: completionIds.map(() => 1),
    completion_logprobs: logprobs,
    overlong_prompt: fitted.overlongPrompt,
    is_truncated: fitted.isTruncated,
  };
}

/** Upstream keeps an empty text where there are calls; on the wire ours is null. */
function stepMessages(response: ChatResponse): unknown {
  const message = wireMessage(messageOfResponse(response));
  return [{ ...message, content: message.content ?? '' }];
}
