/** @file A local OpenAI-compatible server for tests: answers with a function, or misbehaves as told. */
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ChatModel, CompletionRequest, Message, SamplingArgs, WireMessage, WireTool } from '../src/envs';
import { wireMessage } from '../src/envs';

/** What arrived. */
export interface ServedRequest {
  path: string;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown> & { messages: WireMessage[]; tools?: WireTool[]; stream?: boolean };
}

export interface Endpoint {
  baseUrl: string;
  requests: ServedRequest[];
  close(): Promise<void>;
}

export type Handler = (request: ServedRequest, reply: ServerResponse, n: number) => void | Promise<void>;

/** Starts a server on a free port; request n (from 0) goes to the handler. */
export async function serve(handler: Handler): Promise<Endpoint> {
  const requests: ServedRequest[] = [];
  const server = createServer((incoming, reply) => {
    // Open to pages of every origin, as a local server is set up for them.
    reply.setHeader('access-control-allow-origin', '*');
    if (incoming.method === 'OPTIONS') {
      reply.writeHead(204, { 'access-control-allow-headers': 'authorization, content-type' }).end();
      return;
    }
    let text = '';
    incoming.on('data', (data: Buffer) => (text += data.toString()));
    incoming.on('end', () => {
      const request = {
        path: incoming.url ?? '',
        headers: incoming.headers,
        body: JSON.parse(text) as ServedRequest['body'],
      };
      requests.push(request);
      Promise.resolve(handler(request, reply, requests.length - 1)).catch((error: unknown) => {
        json(reply, { error: { message: String(error), type: 'server_error' } }, 500);
      });
    });
  });
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    requests,
    close: () =>
      new Promise((go) => {
        server.closeAllConnections();
        server.close(() => go());
      }),
  };
}

export function json(reply: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}): void {
  reply.writeHead(status, { 'content-type': 'application/json', ...headers });
  reply.end(JSON.stringify(body));
}

/** A reply with one choice. */
export function chatBody(message: Message, more: Record<string, unknown> = {}): Record<string, unknown> {
  const { finish_reason: reason, ...others } = more;
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: 'local',
    choices: [{ index: 0, finish_reason: reason ?? 'stop', message: wireMessage(message) }],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    ...others,
  };
}

/** Sends events, some characters at a time so that they are cut anywhere. */
export async function stream(reply: ServerResponse, events: readonly unknown[], pieceLength = 7): Promise<void> {
  reply.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const bytes = Buffer.from(
    events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\r\n\r\n`).join(''),
  );
  for (let i = 0; i < bytes.length; i += pieceLength) {
    reply.write(bytes.subarray(i, i + pieceLength));
    if (i % (20 * pieceLength) === 0) await new Promise((go) => setImmediate(go));
  }
  reply.end();
}

function messageFrom({ role, content, tool_calls: calls, tool_call_id: id }: WireMessage): Message {
  return {
    role: role as Message['role'],
    content: content ?? '',
    ...(calls && { toolCalls: calls.map((call) => ({ id: call.id, ...call.function })) }),
    ...(id !== undefined && { toolCallId: id }),
  };
}

/** A handler that asks a model of ours, whole or streamed as the client wants it. */
export function modelHandler(model: ChatModel, keyOf: (request: ServedRequest) => CompletionRequest['key']): Handler {
  return async (request, reply) => {
    const { messages, tools = [], stream: streamed, ...body } = request.body;
    const number = (name: string) => body[name] as number | undefined;
    const sampling: SamplingArgs = Object.fromEntries(
      Object.entries({ temperature: number('temperature'), maxTokens: number('max_tokens') }).filter(
        ([, value]) => value !== undefined,
      ),
    );
    const { message, finishReason, usage } = await model.complete({
      messages: messages.map(messageFrom),
      tools: tools.map(({ function: { name, description, parameters } }) => ({ name, description, parameters })),
      sampling,
      key: keyOf(request),
    });
    const counts = { prompt_tokens: usage.promptTokens, completion_tokens: usage.completionTokens };
    if (!streamed) {
      json(reply, chatBody(message, { finish_reason: finishReason, usage: counts }));
      return;
    }
    const wire = wireMessage(message);
    const delta = (piece: unknown, reason: string | null = null) => ({
      choices: [{ index: 0, delta: piece, finish_reason: reason }],
    });
    await stream(reply, [
      delta({ role: 'assistant' }),
      ...[...(wire.content ?? '')].map((content) => delta({ content })),
      ...(wire.tool_calls ?? []).map((call, index) => delta({ tool_calls: [{ index, ...call }] })),
      delta({}, finishReason),
      { choices: [], usage: counts },
      '[DONE]',
    ]);
  };
}
