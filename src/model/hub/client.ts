/**
 * @file Requests to a hub: the token goes to the hub's own origin and nowhere else, what is busy is asked again, and every
 * refusal is one error that says what was wanted.
 */
import { DEFAULT_ENDPOINT } from './address';
import { HubError, refusal } from './errors';
import type { Wanted } from './errors';

export interface HubOptions {
  /** Default: Hugging Face's hub. A mirror of the same layout serves as well. */
  endpoint?: string | undefined;
  /** For private and gated models. Kept in memory, sent to the endpoint's own origin only. */
  token?: string | undefined;
  /** Tries in a row that bring nothing before a download is given up. */
  tries?: number | undefined;
  /** Seconds before the second try; doubled each time. */
  backOffSeconds?: number | undefined;
  /** Seconds without a byte after which a connection counts as broken. */
  stallSeconds?: number | undefined;
}

/** Longest pause that is made of ourselves, and that a server may ask for. */
const LONGEST_PAUSE = 30;
const LONGEST_RETRY_AFTER = 300;

/** Answers that another try may change: too slow, too many requests, out of order. */
const BUSY = new Set([408, 429, 500, 502, 503, 504]);

/** A try that failed in a way in which the next one may not. */
export class TransientError extends Error {
  constructor(
    message: string,
    /** Seconds that the server asks to wait. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

export class Hub {
  readonly endpoint: string;
  readonly tries: number;
  readonly stallSeconds: number;
  readonly #backOff: number;
  readonly #token: string | undefined;

  /** @throws HubError (ModelAddressError) for an endpoint that is none, or that a token must not be sent to */
  constructor({ endpoint, token, tries = 6, backOffSeconds = 1, stallSeconds = 30 }: HubOptions = {}) {
    this.endpoint = (endpoint ?? DEFAULT_ENDPOINT).replace(/\/+$/, '');
    this.tries = tries;
    this.stallSeconds = stallSeconds;
    this.#backOff = backOffSeconds;
    this.#token = token?.trim();
    const url = URL.canParse(this.endpoint) ? new URL(this.endpoint) : undefined;
    if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
      throw new HubError('ModelAddressError', `${JSON.stringify(this.endpoint)} is no address of a hub`);
    }
    if (!this.#token) return;
    // Also what the browser would say of a character that no header may have, but without showing the token.
    if (!/^[\x21-\x7e]+$/.test(this.#token))
      throw new HubError('HubAccessError', 'the token has characters no token has');
    if (url.protocol === 'http:' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)) {
      throw new HubError(
        'HubAccessError',
        `a token is not sent to ${this.endpoint}, which is not encrypted: use https`,
      );
    }
  }

  get hasToken(): boolean {
    return Boolean(this.#token);
  }

  /**
   * One request, without another try. Redirects are followed; the platform's fetch takes the token off on the way to
   * another origin (Fetch standard, "HTTP-redirect fetch", step on CORS non-wildcard request-header names).
   * @returns an answer of status 2xx, or 416
   * @throws TransientError, HubError, the signal's reason
   */
  async get(url: string, wanted: Wanted, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const isOurs = new URL(url).origin === new URL(this.endpoint).origin;
    const authorization = this.#token && isOurs ? { authorization: `Bearer ${this.#token}` } : undefined;
    let response: Response;
    try {
      // No cookies, and no copy of gigabytes in the browser's HTTP cache.
      const how = { credentials: 'omit', cache: 'no-store', redirect: 'follow' } as const;
      response = await fetch(url, { ...how, headers: { ...headers, ...authorization }, signal });
    } catch (error) {
      signal.throwIfAborted();
      throw new TransientError(`nothing answers at ${this.endpoint} (${causeOf(error)})`);
    }
    if (response.ok || response.status === 416) return response;
    await response.body?.cancel();
    const { status } = response;
    if (BUSY.has(status)) {
      throw new TransientError(`${this.endpoint} answers ${status}`, retryAfterOf(response.headers.get('retry-after')));
    }
    // An address signed for a short time, on a storage's server: the hub signs a new one.
    if (status === 403 && new URL(response.url || url).origin !== new URL(this.endpoint).origin) {
      throw new TransientError(`the storage of ${this.endpoint} answers 403`);
    }
    throw refusal(response, wanted, this.endpoint, this.hasToken);
  }

  /**
   * Tries until it works, as long as trying helps. A try may report that it got somewhere, which starts the count anew.
   * @throws HubError (HubConnectionError) when too many tries in a row brought nothing; what a try throws otherwise
   */
  async persist<T>(what: string, signal: AbortSignal, attempt: (progressed: () => void) => Promise<T>): Promise<T> {
    for (let failed = 0; ;) {
      try {
        return await attempt(() => (failed = 0));
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof TransientError)) throw error;
        failed++;
        const { message, retryAfter } = error;
        if (failed >= this.tries) {
          throw new HubError('HubConnectionError', `${what}: given up after ${failed} tries: ${message}`);
        }
        const own = Math.min(LONGEST_PAUSE, this.#backOff * 2 ** (failed - 1));
        await pause(retryAfter ?? own, signal);
      }
    }
  }
}

/** What a platform's fetch has to say, which hides it one level down. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const code = Object(cause) as { code?: unknown; message?: unknown };
  if (typeof code.code === 'string') return code.code;
  return typeof code.message === 'string' && code.message ? code.message : error.message;
}

/** Seconds that Retry-After asks for: a number of them, or a date. */
function retryAfterOf(value: string | null): number | undefined {
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(LONGEST_RETRY_AFTER, Math.max(0, seconds)) : undefined;
}

/** @throws the signal's reason */
export function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    };
    const stop = () => {
      end();
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      end();
      resolve();
    }, seconds * 1000);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
  });
}
