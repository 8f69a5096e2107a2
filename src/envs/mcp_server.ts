/**
 * @file A server of tools that speaks the Model Context Protocol over streamable HTTP. What the tool itself says is wrong
 * is an error of the tool; a server that cannot be reached, or goes away while it is asked, is a `McpServerError`.
 */
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type * as LazySdk from './lazy-mcp-sdk';
import type { JsonSchema } from './tool_schema';

export interface McpServerOptions {
  /** By which messages name it. */
  name: string;
  url: string;
  /** Of every request, such as a token; they appear nowhere else. */
  headers?: Readonly<Record<string, string>>;
}

/** A tool as its server lists it. */
export interface McpTool {
  name: string;
  description: string;
  inputSchema: JsonSchema;
}

/** A server that cannot be reached, went away, or does not speak the protocol. */
export class McpServerError extends Error {
  override name = 'McpServerError';
}

/** The server's own time-out; the environment's limit for a tool comes before it. */
const TIMEOUT_MS = 600_000;
/** How long a server may take to say that it is still there. */
const PING_MS = 5000;

type Sdk = typeof LazySdk;
type ToolResult = Awaited<ReturnType<Client['callTool']>>;

export class McpServer {
  readonly name: string;
  readonly #options: McpServerOptions;
  readonly #url: URL;
  #connected: Promise<Client> | undefined;
  /** Told when the line to the server is broken. */
  readonly #alarms = new Set<(error: unknown) => void>();

  /** @throws TypeError for an address that is none */
  constructor(options: McpServerOptions) {
    this.name = options.name;
    this.#options = options;
    if (!URL.canParse(options.url) || !/^https?:/.test(options.url)) {
      throw new TypeError(`MCP server ${options.name}: ${JSON.stringify(options.url)} is not an http(s) address`);
    }
    this.#url = new URL(options.url);
  }

  /** All tools that the server offers. */
  async tools(signal?: AbortSignal): Promise<McpTool[]> {
    return this.#use(signal, async (client, options) => {
      const tools: McpTool[] = [];
      for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
        const page = await client.listTools(cursor === undefined ? {} : { cursor }, options);
        for (const { name, description = '', inputSchema } of page.tools)
          tools.push({ name, description, inputSchema });
        cursor = page.nextCursor;
      }
      return tools;
    });
  }

  /**
   * Calls a tool.
   * @returns its result as text
   * @throws McpServerError, or an Error with what the tool says is wrong
   */
  async call(name: string, args: Record<string, unknown>, signal?: AbortSignal): Promise<string> {
    const result = await this.#use(signal, (client, options) =>
      client.callTool({ name, arguments: args }, undefined, options),
    );
    const text = textOf(result);
    if (result.isError) throw new Error(text);
    return text;
  }

  async close(): Promise<void> {
    const connected = this.#connected;
    this.#connected = undefined;
    await connected?.then((client) => client.close()).catch(() => undefined); // it may be gone already
  }

  /** Runs a request on the connection. One that turns out to be dead is given up: the next request tries anew. */
  async #use<T>(
    signal: AbortSignal | undefined,
    request: (client: Client, options: { signal?: AbortSignal; timeout: number }) => Promise<T>,
  ): Promise<T> {
    const sdk = await import('./lazy-mcp-sdk');
    let alarm!: (error: unknown) => void;
    const broken = new Promise<never>((_, reject) => (alarm = reject));
    broken.catch(() => undefined);
    this.#alarms.add(alarm);
    const connected = (this.#connected ??= this.#connect(sdk));
    try {
      const client = await connected;
      return await Promise.race([request(client, { ...(signal && { signal }), timeout: TIMEOUT_MS }), broken]);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isServerFailure(sdk, error)) throw error;
      const alive = await connected.then(isThere, () => false);
      if (!alive && this.#connected === connected) await this.close();
      throw new McpServerError(`MCP server ${this.name} at ${this.#url.host} failed: ${reasonOf(error)}`, {
        cause: error,
      });
    } finally {
      this.#alarms.delete(alarm);
    }
  }

  async #connect({ Client: SdkClient, StreamableHTTPClientTransport }: Sdk): Promise<Client> {
    const client = new SdkClient({ name: 'terrarium', version: '0.1.0' });
    const { headers } = this.#options;
    const transport = new StreamableHTTPClientTransport(
      this.#url,
      headers ? { requestInit: { headers: { ...headers } } } : {},
    );
    // A stream that broke says nothing to the call that waits for it: ask whether anybody is still there.
    let asking = false;
    client.onerror = (error) => {
      if (asking || this.#alarms.size === 0) return;
      asking = true; // a question that fails is an error as well
      void isThere(client).then((there) => {
        asking = false;
        if (!there) for (const alarm of this.#alarms) alarm(error);
      });
    };
    await client.connect(transport);
    return client;
  }
}

/** Whether somebody answers. */
async function isThere(client: Client): Promise<boolean> {
  return client.ping({ timeout: PING_MS }).then(
    () => true,
    () => false,
  );
}

/** Whether it was the server or the line, and not what was asked of it. */
function isServerFailure({ McpError, ErrorCode }: Sdk, error: unknown): boolean {
  if (!(error instanceof McpError)) return true;
  const code: number = error.code;
  return code === Number(ErrorCode.ConnectionClosed) || code === Number(ErrorCode.RequestTimeout);
}

/** The message with what caused it: a fetch only says that it failed. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message ? `${error.message} (${cause.message})` : error.message;
}

/** Texts of a result, one a line; of what is no text, its kind. */
function textOf({ content, structuredContent }: ToolResult): string {
  const parts = (Array.isArray(content) ? content : []) as { type: string; text?: string }[];
  if (parts.length === 0 && structuredContent !== undefined) return JSON.stringify(structuredContent);
  return parts.map(({ type, text }) => (type === 'text' ? (text ?? '') : `[${type}]`)).join('\n');
}
