/** @file An MCP server on this machine, made with the same software kit, that can be asked to fail. */
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

export interface McpWorld {
  url: string;
  /** Headers that carried a token. */
  tokens: unknown[];
  /** Ends the server at once, in the middle of what it does. */
  die: () => Promise<void>;
}

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });

/** Tools of every kind: one that answers, ones that fail, one that never ends, and what its results may hold. */
function toolServer(onHang: () => void): McpServer {
  const server = new McpServer({ name: 'world', version: '1.0.0' });
  const x = { x: z.number() };
  server.registerTool('double', { description: 'Twice a number.', inputSchema: x }, ({ x: value }) =>
    text(String(2 * value)),
  );
  server.registerTool('fail', { inputSchema: x }, () => ({ ...text('no such page'), isError: true }));
  server.registerTool('throw', { inputSchema: x }, () => {
    throw new Error('fell over');
  });
  server.registerTool('picture', { inputSchema: {} }, () => ({
    content: [
      { type: 'text', text: 'here:' },
      { type: 'image', data: 'AAAA', mimeType: 'image/png' },
    ],
  }));
  server.registerTool('slow', { inputSchema: {} }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    return text('at last');
  });
  server.registerTool('echo', { inputSchema: { word: z.string() } }, ({ word }) => text(word));
  server.registerTool('hang', { inputSchema: {} }, () => {
    onHang();
    return new Promise<never>(() => undefined);
  });
  return server;
}

/** @param json answers as one JSON object instead of a stream */
export async function mcpWorld({ json = false, port = 0 }: { json?: boolean; port?: number } = {}): Promise<McpWorld> {
  const tokens: unknown[] = [];
  const die = () =>
    new Promise<void>((resolve) => {
      http.close(() => resolve());
      http.closeAllConnections();
    });
  const http: Server = createServer((request, response: ServerResponse) => {
    // A proxy that refuses one request says nothing about the others.
    if (Number(request.headers['content-length'] ?? 0) > 50_000) {
      response.writeHead(413).end('too large');
      return;
    }
    if (request.headers.authorization) tokens.push(request.headers.authorization);
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const server = toolServer(() => setTimeout(() => void die(), 50));
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: json });
    response.on('close', () => void server.close());
    server.connect(transport as never).then(
      () => transport.handleRequest(request, response),
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, tokens, die };
}
