import { afterEach, expect, it } from 'vitest';
import { OpenAIModel, retryAfterSeconds } from '../../../src/envs';
import type { CompletionRequest, OpenAIModelOptions, ToolSchema } from '../../../src/envs';
import { chatBody, json, serve, stream } from '../../endpoint';
import type { Endpoint, Handler } from '../../endpoint';

let running: Endpoint | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

async function modelAt(handler: Handler, options: Partial<OpenAIModelOptions> = {}): Promise<OpenAIModel> {
  running = await serve(handler);
  const model = 'acme/one';
  return new OpenAIModel({ baseUrl: running.baseUrl, model, retrySeconds: 1e-3, maxRetries: 2, ...options });
}

const KEY = 'sk-secret-123';
const REQUEST: CompletionRequest = { messages: [{ role: 'user', content: 'hi' }], sampling: {}, key: [1, 2] };
const SEARCH: ToolSchema = { name: 'search', description: 'Find.', parameters: { type: 'object', properties: {} } };
const hello: Handler = (_, reply) => json(reply, chatBody({ role: 'assistant', content: 'hello' }));

it('asks as OpenAI wants it and reads the answer', async () => {
  const model = await modelAt(hello, { apiKey: KEY, extraBody: { reasoning_effort: 'low' } });
  const completion = await model.complete({
    messages: [
      { role: 'system', content: 's' },
      { role: 'user', content: 'u' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'c1', name: 'search', arguments: '{"q":1}' }] },
      { role: 'tool', content: 'found', toolCallId: 'c1' },
    ],
    tools: [SEARCH],
    sampling: { temperature: 0.5, topP: 0.9, maxTokens: 7, topK: 40, minP: 0.1 },
    key: [1, 2],
  });
  expect(completion).toEqual({
    message: { role: 'assistant', content: 'hello' },
    finishReason: 'stop',
    usage: { promptTokens: 5, completionTokens: 2 },
  });
  const { path, headers, body } = running!.requests[0]!;
  expect(path).toBe('/v1/chat/completions');
  expect(headers).toMatchObject({ authorization: `Bearer ${KEY}`, 'content-type': 'application/json' });
  expect(body).toEqual({
    model: 'acme/one',
    messages: [
      { role: 'system', content: 's' },
      { role: 'user', content: 'u' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'search', arguments: '{"q":1}' } }],
      },
      { role: 'tool', content: 'found', tool_call_id: 'c1' },
    ],
    tools: [{ type: 'function', function: { ...SEARCH, strict: true } }],
    temperature: 0.5,
    top_p: 0.9,
    max_tokens: 7,
    top_k: 40,
    min_p: 0.1,
    reasoning_effort: 'low',
  });
});

it('mentions neither filters that are off nor tools that are not there, nor a key', async () => {
  const model = await modelAt(hello);
  await model.complete({ ...REQUEST, tools: [], sampling: { topK: 0, minP: 0 } });
  expect(Object.keys(running!.requests[0]!.body)).toEqual(['model', 'messages']);
  expect(running!.requests[0]!.headers.authorization).toBeUndefined();
});

it('reads tool calls, also those without an id or with arguments as an object', async () => {
  const calls = [
    { id: 'x', type: 'function', function: { name: 'search', arguments: '{"q":"a"}' } },
    { type: 'function', function: { name: 'search', arguments: { q: 'b' } } },
  ];
  const choice = {
    index: 0,
    finish_reason: 'tool_calls',
    message: { role: 'assistant', content: null, tool_calls: calls },
  };
  const model = await modelAt((_, reply) => json(reply, { choices: [choice] }));
  const { message, finishReason, usage } = await model.complete({ ...REQUEST, tools: [SEARCH] });
  expect(message).toEqual({
    role: 'assistant',
    content: '',
    toolCalls: [
      { id: 'x', name: 'search', arguments: '{"q":"a"}' },
      { id: 'call_1_1', name: 'search', arguments: '{"q":"b"}' },
    ],
  });
  expect([finishReason, usage]).toEqual(['tool_calls', { promptTokens: 0, completionTokens: 0 }]);
});

const piece = (delta: unknown, reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason: reason }],
});

it.each([1, 7, 10_000])('puts a streamed reply together, %i bytes at a time', async (bytes) => {
  const model = await modelAt(
    (_, reply) =>
      stream(
        reply,
        [
          piece({ role: 'assistant', content: '' }),
          ...[...'é→🦎 gecko'].map((content) => piece({ content })),
          piece({ tool_calls: [{ index: 0, id: 'a', function: { name: 'search', arguments: '' } }] }),
          piece({ tool_calls: [{ index: 1, id: 'b', function: { name: 'read', arguments: '{' } }] }),
          piece({ tool_calls: [{ index: 0, function: { arguments: '{"q":' } }] }),
          piece({ tool_calls: [{ index: 1, function: { arguments: '}' } }] }),
          piece({ tool_calls: [{ index: 0, function: { arguments: '"x"}' } }] }),
          piece({}, 'tool_calls'),
          { choices: [], usage: { prompt_tokens: 3, completion_tokens: 9 } },
          '[DONE]',
        ],
        bytes,
      ),
    { stream: true },
  );
  expect(await model.complete(REQUEST)).toEqual({
    message: {
      role: 'assistant',
      content: 'é→🦎 gecko',
      toolCalls: [
        { id: 'a', name: 'search', arguments: '{"q":"x"}' },
        { id: 'b', name: 'read', arguments: '{}' },
      ],
    },
    finishReason: 'tool_calls',
    usage: { promptTokens: 3, completionTokens: 9 },
  });
  expect(running!.requests[0]!.body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
});

it('understands streams of servers that leave out indices, [DONE] or the last empty line, and comment', async () => {
  const model = await modelAt(
    (_, reply) => {
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      const events = [
        piece({ tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{}' } }] }),
        piece({ tool_calls: [{ id: 'b', function: { name: 'g', arguments: '{"x":' } }] }),
        piece({ tool_calls: [{ function: { arguments: '1}' } }] }),
      ];
      reply.write(': ping\n\nevent: x\n');
      for (const event of events) reply.write(`data:${JSON.stringify(event)}\n\n`);
      reply.end(`data: ${JSON.stringify(piece({}, 'stop'))}`);
    },
    { stream: true },
  );
  const { message, finishReason } = await model.complete(REQUEST);
  expect(message.toolCalls).toEqual([
    { id: 'a', name: 'f', arguments: '{}' },
    { id: 'b', name: 'g', arguments: '{"x":1}' },
  ]);
  expect(finishReason).toBe('tool_calls');
});

it('a server that does not stream when asked to is understood', async () => {
  const model = await modelAt(hello, { stream: true });
  expect((await model.complete(REQUEST)).message.content).toBe('hello');
});

it('takes exact tokens where they are offered, whole or streamed, and drops what does not line up', async () => {
  const logprobs = (...values: number[]) => ({ content: values.map((logprob) => ({ token: 't', logprob })) });
  const message = { role: 'assistant', content: 'ab' };
  const whole = { finish_reason: 'stop', message, token_ids: [7, 8], logprobs: logprobs(-0.5, -1) };
  const streamed = [
    { prompt_token_ids: [1, 2], ...piece({ role: 'assistant', content: '' }) },
    { choices: [{ index: 0, delta: { content: 'a' }, token_ids: [7], logprobs: logprobs(-0.5) }] },
    { choices: [{ index: 0, delta: { content: 'b' }, token_ids: [8], logprobs: logprobs(-1), finish_reason: 'stop' }] },
  ];
  const model = await modelAt(
    ({ body }, reply, n) =>
      body.stream
        ? stream(reply, streamed)
        : json(reply, {
            prompt_token_ids: [1, 2],
            choices: [n === 1 ? { ...whole, logprobs: logprobs(-0.5) } : whole],
          }),
    { tokenIds: true },
  );
  const tokens = { promptIds: [1, 2], completionIds: [7, 8], logprobs: [-0.5, -1] };
  expect((await model.complete(REQUEST)).tokens).toEqual(tokens);
  expect(running!.requests[0]!.body).toMatchObject({ logprobs: true, return_token_ids: true });
  expect((await model.complete(REQUEST)).tokens).toBeUndefined();
  const streaming = new OpenAIModel({ baseUrl: running!.baseUrl, model: 'm', tokenIds: true, stream: true });
  expect((await streaming.complete(REQUEST)).tokens).toEqual(tokens);
});

it('maps why a reply ended', async () => {
  const reasons = ['stop', 'length', 'content_filter', 'eos', null];
  const model = await modelAt((_, reply, n) =>
    json(reply, { choices: [{ finish_reason: reasons[n], message: { content: 'x' } }] }),
  );
  for (const reason of reasons) {
    expect((await model.complete(REQUEST)).finishReason).toBe(reason === 'length' ? 'length' : 'stop');
  }
});

it('tries again after 429, 5xx and a broken connection, then succeeds', async () => {
  const model = await modelAt(
    (_, reply, n) => {
      if (n === 0) json(reply, { error: { message: 'slow down' } }, 429);
      else if (n === 1) json(reply, {}, 503);
      else if (n === 2) reply.destroy();
      else json(reply, chatBody({ role: 'assistant', content: 'at last' }));
    },
    { maxRetries: 3 },
  );
  expect((await model.complete(REQUEST)).message.content).toBe('at last');
  expect(running!.requests).toHaveLength(4);
  expect(new Set(running!.requests.map(({ body }) => JSON.stringify(body))).size).toBe(1);
});

it('waits as long as the server says, and not for hours', async () => {
  const model = await modelAt(
    (_, reply, n) =>
      n === 0
        ? json(reply, {}, 429, { 'retry-after': '0.15' })
        : n === 1
          ? json(reply, chatBody({ role: 'assistant', content: 'ok' }))
          : json(reply, { error: 'quota' }, 429, { 'retry-after': '3600' }),
    { maxRetries: 5 },
  );
  const start = performance.now();
  await model.complete(REQUEST);
  expect(performance.now() - start).toBeGreaterThan(140);
  await expect(model.complete(REQUEST)).rejects.toThrow('HTTP 429: quota');
  expect(running!.requests).toHaveLength(3);
});

it('reads Retry-After as seconds or a date', () => {
  expect(retryAfterSeconds(null)).toBeUndefined();
  expect(retryAfterSeconds('')).toBeUndefined();
  expect(retryAfterSeconds('soon')).toBeUndefined();
  expect(retryAfterSeconds('7')).toBe(7);
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfterSeconds('Thu, 01 Jan 2026 00:00:30 GMT', now)).toBe(30);
  expect(retryAfterSeconds('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0);
});

const html = '<!DOCTYPE html><html><head><title>Welcome</title></head><body>'.padEnd(500, 'x');

type Case = [what: string, handler: Handler, name: string, message: string | RegExp, requests: number];

it.each<Case>([
  [
    'HTML',
    (_, reply) => reply.writeHead(200, { 'content-type': 'text/html' }).end(html) && undefined,
    'NotAnApiError',
    /answered with HTML instead of JSON: "<!DOCTYPE html>.{85}\.\.\."$/,
    1,
  ],
  [
    '401',
    (_, reply) => json(reply, { error: { message: `Incorrect API key: ${KEY}` } }, 401),
    'AuthenticationError',
    'HTTP 401: Incorrect API key: [key]',
    1,
  ],
  ['403', (_, reply) => json(reply, { detail: 'no' }, 403), 'AuthenticationError', 'HTTP 403: no', 1],
  [
    '404',
    (_, reply) => json(reply, { error: { message: 'The model `acme/one` does not exist' } }, 404),
    'ModelNotFoundError',
    'HTTP 404: The model `acme/one` does not exist',
    1,
  ],
  [
    'context length',
    (_, reply) => json(reply, { error: { message: "This model's maximum context length is 10 tokens" } }, 400),
    'ContextLengthError',
    "HTTP 400: This model's maximum context length is 10 tokens",
    1,
  ],
  [
    'context length by its code',
    (_, reply) => json(reply, { error: { message: 'Too much.', code: 'context_length_exceeded' } }, 400),
    'ContextLengthError',
    'HTTP 400: Too much. (context_length_exceeded)',
    1,
  ],
  [
    'other 400',
    (_, reply) => json(reply, { message: 'temperature must be below 2' }, 422),
    'BadRequestError',
    'HTTP 422: temperature must be below 2',
    1,
  ],
  [
    '500',
    (_, reply) => reply.writeHead(500).end('oops\u001b[31m') && undefined,
    'ServerError',
    'HTTP 500: "oops\\u001b[31m" (after 3 tries)',
    3,
  ],
  [
    'no JSON',
    (_, reply) => reply.end('{"choices": [{') && undefined,
    'BadResponseError',
    /JSON.*; the reply begins "{\\"choices\\": \[{" \(after 3 tries\)/,
    3,
  ],
  ['a list', (_, reply) => json(reply, []), 'BadResponseError', 'the reply is not a JSON object', 3],
  [
    'no choices',
    (_, reply) => json(reply, { object: 'x' }),
    'BadResponseError',
    'the reply has no choices: {"object"',
    3,
  ],
  ['two choices', (_, reply) => json(reply, { choices: [{}, {}] }), 'BadResponseError', 'always have one choice', 3],
  ['no message', (_, reply) => json(reply, { choices: [{}] }), 'BadResponseError', 'has no message', 3],
  [
    'content of another kind',
    (_, reply) => json(reply, { choices: [{ message: { content: 5 } }] }),
    'BadResponseError',
    'the content of the reply is not text',
    3,
  ],
  [
    'a cut stream',
    (_, reply) => stream(reply, [piece({ content: 'half an ans' })]),
    'ConnectionError',
    'the stream was cut off after 11 characters (after 3 tries)',
    3,
  ],
  [
    'a broken stream',
    (_, reply) => stream(reply, ['{"choices": [']),
    'BadResponseError',
    /JSON.*; an event begins "{\\"choices\\": \["/,
    3,
  ],
  ['a stream of nothings', (_, reply) => stream(reply, ['null']), 'BadResponseError', 'an event begins "null"', 3],
  [
    'an error in a stream',
    (_, reply) => stream(reply, [piece({ content: 'a' }), { error: { message: 'out of memory', code: 500 } }]),
    'ServerError',
    'in the stream: out of memory',
    3,
  ],
  [
    'a connection that breaks inside a reply',
    (_, reply) => {
      reply.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      reply.write('{"choices"');
      setTimeout(() => reply.destroy(), 5);
    },
    'ConnectionError',
    'cannot be reached, or the connection broke: ',
    3,
  ],
])('%s is one clear error', async (_, handler, name, message, requests) => {
  const model = await modelAt(handler, { apiKey: KEY });
  const error = await model.complete(REQUEST).catch((thrown: unknown) => thrown as Error);
  expect(error).toMatchObject({ name });
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message.startsWith(`${running!.baseUrl}/chat/completions, model acme/one: `)).toBe(true);
  expect(JSON.stringify(error) + (error as Error).stack).not.toContain(KEY);
  expect(running!.requests).toHaveLength(requests);
});

it('says when no key was given', async () => {
  const model = await modelAt((_, reply) => json(reply, { error: 'who?' }, 401), { apiKey: '' });
  await expect(model.complete(REQUEST)).rejects.toThrow('HTTP 401, and no key was given: who?');
});

it('a port where nobody listens is named', async () => {
  const model = await modelAt(hello, { maxRetries: 1 });
  await running!.close();
  await expect(model.complete(REQUEST)).rejects.toThrow(
    /^http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions, model acme\/one: cannot be reached, .*ECONNREFUSED.* \(after 2 tries\)$/,
  );
});

it('a request has a total time limit: before the answer, and in a stream that trickles', async () => {
  const silent = await modelAt(() => undefined, { timeoutSeconds: 0.05, maxRetries: 1 });
  await expect(silent.complete(REQUEST)).rejects.toThrow('no complete reply within 0.05 s (after 2 tries)');
  await running!.close();
  const trickling = await modelAt(
    (_, reply) => {
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => reply.write(`data: ${JSON.stringify(piece({ content: 'x' }))}\n\n`), 5);
      reply.on('close', () => clearInterval(timer));
    },
    { timeoutSeconds: 0.1, maxRetries: 0 },
  );
  const error = await trickling.complete(REQUEST).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'RequestTimeoutError' });
});

it('a cancel ends a request, a wait and a stream with its own reason', async () => {
  const model = await modelAt((_, reply, n) => (n === 0 ? undefined : json(reply, {}, 503)), { retrySeconds: 1000 });
  for (const ms of [30, 40]) {
    const signal = AbortSignal.timeout(ms);
    await expect(model.complete(REQUEST, { signal })).rejects.toThrow(
      expect.objectContaining({ name: 'TimeoutError' }) as Error,
    );
  }
  expect(running!.requests).toHaveLength(2);
});

it('100 kB of text come through; bodies past the limit are an error that says so', async () => {
  const long = 'lizard '.repeat(15_000);
  const model = await modelAt(
    ({ body }, reply, n) =>
      n < 2
        ? body.stream
          ? stream(reply, [piece({ content: long }), piece({}, 'stop')], 9999)
          : json(reply, chatBody({ role: 'assistant', content: long }))
        : body.stream
          ? stream(reply, [...Array<unknown>(30).fill(piece({ content: long })), piece({}, 'stop')], 99_999)
          : json(reply, chatBody({ role: 'assistant', content: long.repeat(10) })),
    { maxBodyBytes: 1_000_000, maxRetries: 0 },
  );
  const streaming = new OpenAIModel({
    baseUrl: running!.baseUrl,
    model: 'm',
    stream: true,
    maxBodyBytes: 1_000_000,
    maxRetries: 0,
  });
  expect((await model.complete(REQUEST)).message.content).toBe(long);
  expect((await streaming.complete(REQUEST)).message.content).toBe(long);
  await expect(model.complete(REQUEST)).rejects.toThrow('a reply of more than 1000000 bytes');
  await expect(streaming.complete(REQUEST)).rejects.toThrow('a reply of more than 1000000 characters');
});

it.each([
  ['localhost:8000', 'is not an http(s) address'],
  ['', 'is not an http(s) address'],
  ['https://me:pass@example.com/v1', 'the base URL at example.com carries a user, password or query'],
  ['https://example.com/v1?api_key=abc', 'the base URL at example.com carries a user, password or query'],
])('refuses the address %j', (baseUrl, message) => {
  expect(() => new OpenAIModel({ baseUrl, model: 'm' })).toThrow(message);
});

it('the key is nowhere to be seen on the model', () => {
  expect(() => new OpenAIModel({ baseUrl: 'https://example.com/v1', model: 'm', apiKey: 'sk-a\nb' })).toThrow(
    /^the API key holds characters that no header can carry$/,
  );
  const model = new OpenAIModel({ baseUrl: 'https://example.com/v1/', model: 'm', apiKey: KEY });
  expect(model.endpoint).toBe('https://example.com/v1/chat/completions');
  expect(JSON.stringify(model) + Object.values({ ...model }).join()).not.toContain(KEY);
});
