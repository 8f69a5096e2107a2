/** @file What can go wrong with a model behind HTTP, each as one error whose message names the endpoint. */

export type EndpointErrorName =
  /** Nothing answers, or the connection broke. */
  | 'ConnectionError'
  /** Too slow. */
  | 'RequestTimeoutError'
  /** 401, 403 */
  | 'AuthenticationError'
  /** 404: the model, or the path. */
  | 'ModelNotFoundError'
  /** 429 */
  | 'RateLimitError'
  /** 5xx */
  | 'ServerError'
  /** The conversation does not fit the model: environments end the rollout as `prompt_too_long`. */
  | 'ContextLengthError'
  /** Any other 4xx. */
  | 'BadRequestError'
  /** HTML, say: something else lives at this address. */
  | 'NotAnApiError'
  /** JSON that is broken, too long, or no completion. */
  | 'BadResponseError';

const RETRIED: ReadonlySet<EndpointErrorName> = new Set([
  'ConnectionError',
  'RequestTimeoutError',
  'RateLimitError',
  'ServerError',
  'BadResponseError',
]);

export class EndpointError extends Error {
  /** Seconds that the server asks to wait. */
  retryAfter: number | undefined;

  constructor(
    override readonly name: EndpointErrorName,
    message: string,
    /** HTTP status, where there was an answer. */
    readonly status?: number,
  ) {
    super(message);
  }

  /** Another try may help. */
  get retried(): boolean {
    return RETRIED.has(this.name);
  }
}

/** How servers say that a conversation is too long: OpenAI, vLLM, llama.cpp, TGI, Anthropic and those that copy them. */
const TOO_LONG =
  /context[_ ](length|window|size)|max_model_len|maximum (model|sequence|input) length|prompt[_ ](is[_ ])?too[_ ]long|(prompt|input)[^.]{0,40}(exceeds?|longer than)[^.]{0,40}(tokens|length|limit)/i;

/** The kind of error that a status and its explanation are. */
export function errorNameOf(status: number, explanation: string): EndpointErrorName {
  if (status === 401 || status === 403) return 'AuthenticationError';
  if (status === 404) return 'ModelNotFoundError';
  if (status === 429) return 'RateLimitError';
  if (status >= 500 || status === 408) return 'ServerError';
  return TOO_LONG.test(explanation) ? 'ContextLengthError' : 'BadRequestError';
}

/** The explanation in an error's body: `{ error: { message } }`, `{ message }`, `{ detail }`, or its beginning. */
export function explanationOf(body: string): string {
  try {
    const data = JSON.parse(body) as { error?: unknown; message?: unknown; detail?: unknown } | null;
    const error = data?.error ?? data?.message ?? data?.detail;
    const { message, code } = Object(error) as { message?: unknown; code?: unknown };
    const text = typeof error === 'string' ? error : typeof message === 'string' ? message : JSON.stringify(error);
    if (text) return shorten(typeof code === 'string' && !text.includes(code) ? `${text} (${code})` : text, 500);
  } catch {
    // no JSON: shown as it is
  }
  return body.trim() === '' ? 'without an explanation' : JSON.stringify(shorten(body.trim(), 100));
}

/** The beginning of a text, and that there is more. */
export function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}...` : text;
}

/**
 * Seconds in a Retry-After header: a number, or a date.
 * @returns undefined where it says nothing
 */
export function retryAfterSeconds(header: string | null, nowMs = Date.now()): number | undefined {
  if (header === null || header.trim() === '') return undefined;
  const seconds = Number(header);
  const wait = Number.isFinite(seconds) ? seconds : (Date.parse(header) - nowMs) / 1000;
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}
