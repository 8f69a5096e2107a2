/**
 * @file A model behind an OpenAI-compatible endpoint: OpenAI, vLLM, llama.cpp, Ollama and many others. Works wherever there
 * is `fetch`. The key is kept in memory and appears nowhere: not in results, not in errors.
 */
import { Random } from '../../random';
import { TimeLimitError, withTimeLimit } from '../deadline';
import type { ChatModel, Completion, CompletionRequest } from '../types';
import { EndpointError, errorNameOf, explanationOf, retryAfterSeconds, shorten } from './endpoint_error';
import { decodeText, splitLines } from './lines';
import { StreamAssembler } from './openai_stream';
import { finishReasonOf, messageOfResponse, tokensOfResponse, usageOfResponse, wireRequest } from './openai_wire';
import type { ChatResponse } from './openai_wire';
import { backOff, jitterKey, sleep } from './retry';
import { eventData } from './sse';

export interface OpenAIModelOptions {
  /** Without `/chat/completions`: `http://localhost:8000/v1`. */
  baseUrl: string;
  model: string;
  /** Sent as a bearer token. */
  apiKey?: string | undefined;
  /** Ask for the reply piece by piece. */
  stream?: boolean;
  /** Ask for token ids and log-probabilities as vLLM offers them; without them a rollout cannot be trained on. */
  tokenIds?: boolean;
  /** Further fields of the request's body; they win over ours. */
  extraBody?: Record<string, unknown>;
  /** Tries after the first one that failed for a reason that may pass. */
  maxRetries?: number;
  /** Seconds before the second try; doubles with each. A server that says how long to wait is believed, up to 2 minutes. */
  retrySeconds?: number;
  /** For a whole request, its reply included. */
  timeoutSeconds?: number;
  /** Of a reply's body; ten times as many for a streamed one, whose pieces are wrapped. */
  maxBodyBytes?: number;
  /** Instead of the engine's own. */
  fetch?: typeof fetch;
}

const LONGEST_WAIT_SECONDS = 120;

export class OpenAIModel implements ChatModel {
  readonly name: string;
  /** Without anything secret. */
  readonly baseUrl: string;
  /** What the endpoint is called in messages: its address. */
  readonly endpoint: string;
  readonly #key: string | undefined;
  readonly #options;

  /** @throws TypeError for an address that is none or holds a password, or a key that cannot be sent */
  constructor(options: OpenAIModelOptions) {
    const url = URL.canParse(options.baseUrl) ? new URL(options.baseUrl) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) {
      throw new TypeError(`base URL ${JSON.stringify(options.baseUrl)} is not an http(s) address`);
    }
    if (url.username || url.password || url.search) {
      throw new TypeError(`the base URL at ${url.host} carries a user, password or query; a key goes into apiKey`);
    }
    this.name = options.model;
    this.baseUrl = url.href.replace(/\/+$/, '');
    this.endpoint = `${this.baseUrl}/chat/completions`;
    const key = options.apiKey?.trim();
    if (key && !/^[\x21-\x7e]+$/.test(key))
      throw new TypeError('the API key holds characters that no header can carry');
    this.#key = key === '' ? undefined : key;
    this.#options = {
      stream: false,
      tokenIds: false,
      extraBody: {},
      maxRetries: 3,
      retrySeconds: 0.5,
      timeoutSeconds: 300,
      maxBodyBytes: 10_000_000,
      fetch: globalThis.fetch.bind(globalThis),
      ...options,
    };
  }

  /**
   * @throws EndpointError; one named ContextLengthError where the conversation is too long for the model; the signal's
   * reason
   */
  async complete(
    request: CompletionRequest,
    { signal = new AbortController().signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<Completion> {
    const { stream, tokenIds, extraBody, maxRetries, retrySeconds } = this.#options;
    const body = JSON.stringify({
      model: this.name,
      ...wireRequest(request),
      ...(stream && { stream: true, stream_options: { include_usage: true } }),
      ...(tokenIds && { logprobs: true, return_token_ids: true }),
      ...extraBody,
    });
    const random = new Random(jitterKey(request.key));
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await this.#once(body, signal);
        return this.#completion(response, `call_${request.messages.length}`);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof EndpointError)) throw error;
        const wait = error.retryAfter ?? backOff(attempt, retrySeconds, random);
        if (!error.retried || attempt >= maxRetries || wait > LONGEST_WAIT_SECONDS) {
          if (error.retried && attempt > 0) error.message += ` (after ${attempt + 1} tries)`;
          throw error;
        }
        await sleep(wait, signal);
      }
    }
  }

  /** One request, from the first byte to the last. */
  async #once(body: string, outer: AbortSignal): Promise<ChatResponse> {
    const { timeoutSeconds, fetch: send } = this.#options;
    const headers = {
      'content-type': 'application/json',
      ...(this.#key !== undefined && { authorization: `Bearer ${this.#key}` }),
    };
    try {
      return await withTimeLimit('the request', timeoutSeconds, outer, async (signal) => {
        const reply = await send(this.endpoint, { method: 'POST', headers, body, signal });
        return await this.#read(reply);
      });
    } catch (error) {
      outer.throwIfAborted();
      if (error instanceof EndpointError) throw error;
      if (error instanceof TimeLimitError) {
        throw this.#error('RequestTimeoutError', `no complete reply within ${timeoutSeconds} s`);
      }
      throw this.#error('ConnectionError', `cannot be reached, or the connection broke: ${reasonOf(error)}`);
    }
  }

  async #read(reply: Response): Promise<ChatResponse> {
    const type = reply.headers.get('content-type') ?? '';
    if (reply.ok && type.startsWith('text/event-stream')) return this.#readStream(reply);
    const text = await this.#readText(reply);
    if (!reply.ok) {
      const explanation = explanationOf(text);
      const name = errorNameOf(reply.status, explanation);
      const keyless = name === 'AuthenticationError' && this.#key === undefined ? ', and no key was given' : '';
      const error = this.#error(name, `HTTP ${reply.status}${keyless}: ${explanation}`, reply.status);
      error.retryAfter = retryAfterSeconds(reply.headers.get('retry-after'));
      throw error;
    }
    try {
      return requireObject(JSON.parse(text));
    } catch (error) {
      const start = JSON.stringify(shorten(text.trimStart(), 100));
      if (/^\s*</.test(text) || type.startsWith('text/html')) {
        throw this.#error('NotAnApiError', `answered with HTML instead of JSON: ${start}`, reply.status);
      }
      throw this.#error('BadResponseError', `${reasonOf(error)}; the reply begins ${start}`, reply.status);
    }
  }

  async #readText(reply: Response): Promise<string> {
    let text = '';
    for await (const piece of decodeText(this.#bytes(reply, this.#options.maxBodyBytes))) text += piece;
    return text;
  }

  async #readStream(reply: Response): Promise<ChatResponse> {
    const { maxBodyBytes } = this.#options;
    const stream = new StreamAssembler(maxBodyBytes);
    const text = decodeText(this.#bytes(reply, 10 * maxBodyBytes));
    for await (const data of eventData(splitLines(text, maxBodyBytes))) {
      if (data.includes('"error"')) this.#throwStreamError(data);
      try {
        stream.add(data);
      } catch (error) {
        const start = JSON.stringify(shorten(data, 100));
        throw this.#error('BadResponseError', `${reasonOf(error)}; an event begins ${start}`, reply.status);
      }
    }
    if (!stream.finished) {
      throw this.#error('ConnectionError', `the stream was cut off after ${stream.length} characters`, reply.status);
    }
    return stream.response();
  }

  /** An event may be an error that came after the status. */
  #throwStreamError(data: string): void {
    let error: { code?: unknown } | null | undefined;
    try {
      ({ error } = Object(JSON.parse(data)) as { error?: { code?: unknown } | null });
    } catch {
      return; // whoever reads the event says what is wrong with it
    }
    if (error == null) return;
    const explanation = explanationOf(data);
    const status = Number(error.code);
    throw this.#error(errorNameOf(status >= 400 ? status : 500, explanation), `in the stream: ${explanation}`);
  }

  /** The body in pieces, up to a limit. */
  async *#bytes(reply: Response, limit: number): AsyncGenerator<Uint8Array, void, void> {
    const reader = reply.body?.getReader();
    let bytes = 0;
    try {
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done || !value) return;
        bytes += value.byteLength;
        if (bytes > limit) {
          throw this.#error('BadResponseError', `a reply of more than ${limit} bytes`, reply.status);
        }
        yield value;
      }
    } finally {
      reader?.cancel().catch(() => undefined); // the rest is not wanted
    }
  }

  #completion(response: ChatResponse, idPrefix: string): Completion {
    try {
      const tokens = tokensOfResponse(response);
      return {
        message: messageOfResponse(response, idPrefix),
        finishReason: finishReasonOf(response),
        usage: usageOfResponse(response),
        // Ids and log-probabilities that do not line up are none.
        ...(tokens?.completionIds.length === tokens?.logprobs.length && tokens && { tokens }),
      };
    } catch (error) {
      throw this.#error('BadResponseError', `${reasonOf(error)}: ${shorten(JSON.stringify(response), 200)}`);
    }
  }

  /** An error of this endpoint. A server may repeat the key: it does not get through. */
  #error(name: EndpointError['name'], what: string, status?: number): EndpointError {
    const message = this.#key === undefined ? what : what.replaceAll(this.#key, '[key]');
    return new EndpointError(name, `${this.endpoint}, model ${this.name}: ${message}`, status);
  }
}

function requireObject(value: unknown): ChatResponse {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new TypeError('the reply is not a JSON object');
}

/** What an error says; `fetch` hides the reason in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const code = 'code' in cause ? String(cause.code) : '';
  return code === '' || cause.message.includes(code) ? cause.message || code : `${code} ${cause.message}`.trim();
}
