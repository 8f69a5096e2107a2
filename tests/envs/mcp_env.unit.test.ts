import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { McpEnv, McpServerError, rows, tool } from '../../src/envs';
import type { McpEnvOptions, Trace } from '../../src/envs';
import { ScriptedModel } from '../scripted';
import { mcpWorld } from './mcp_world';
import type { McpWorld } from './mcp_world';

const OPTIONS = { draw: 0, rollout: 0, key: [1, 2] as const };
const worlds: McpWorld[] = [];
const envs: McpEnv[] = [];

afterEach(async () => {
  for (const env of envs.splice(0)) await env.teardown();
  for (const world of worlds.splice(0)) await world.die();
});

async function world(options?: Parameters<typeof mcpWorld>[0]): Promise<McpWorld> {
  const made = await mcpWorld(options);
  worlds.push(made);
  return made;
}

async function connect(servers: McpEnvOptions['servers'], more: Partial<McpEnvOptions> = {}): Promise<McpEnv> {
  const env = await McpEnv.connect({ name: 'tools', dataset: rows([{ question: 'go' }]), servers, ...more });
  envs.push(env);
  return env;
}

/** Calls the tools one after the other, one a turn, and then says ok. */
function calling(...calls: [name: string, args: object][]): ScriptedModel {
  return new ScriptedModel(({ messages }) => {
    const done = messages.filter(({ role }) => role === 'tool').length;
    const call = calls[done];
    if (!call) return 'ok';
    const toolCalls = [{ id: `call_${done}`, name: call[0], arguments: JSON.stringify(call[1]) }];
    return { message: { role: 'assistant', content: '', toolCalls } };
  });
}

const answers = ({ completion }: Trace) =>
  completion.filter(({ role }) => role === 'tool').map(({ content }) => content);

async function play(env: McpEnv, ...calls: [name: string, args: object][]): Promise<Trace> {
  return env.rollout(await env.example(0), calling(...calls), OPTIONS);
}

describe.each([{ json: false }, { json: true }])('a server that answers (json: $json)', ({ json }) => {
  it('lends its tools, whose results and errors are tool messages', async () => {
    const { url } = await world({ json });
    const env = await connect([{ name: 'maths', url }]);
    expect([...env.tools.keys()]).toEqual(['double', 'fail', 'throw', 'picture', 'slow', 'echo', 'hang']);
    expect(env.toolSchemas()[0]).toMatchObject({
      name: 'double',
      description: 'Twice a number.',
      parameters: {
        type: 'object',
        properties: { x: { type: 'number' } },
        required: ['x'],
        additionalProperties: false,
      },
    });
    const trace = await play(
      env,
      ['double', { x: 21 }],
      ['fail', { x: 1 }],
      ['throw', { x: 1 }],
      ['double', { x: 'a' }],
      ['picture', {}],
    );
    expect(trace).toMatchObject({ error: null, stopCondition: 'no_tools_called' });
    const [result, failed, threw, refused, picture] = answers(trace);
    expect([result, failed, picture]).toEqual(['42', 'no such page', 'here:\n[image]']);
    expect(threw).toContain('fell over');
    expect(refused).toMatch(/^x: /); // checked before it is sent
    expect(trace.metrics).toMatchObject({ double_calls: 2, total_tool_calls: 5 });
  });

  it('that dies while it is asked fails the rollout that needed it and names itself; the others go on', async () => {
    const [frail, sound] = [await world({ json }), await world({ json })];
    const env = await connect([{ name: 'frail', url: frail.url }], {
      tools: [tool({ name: 'here', parameters: { type: 'object', properties: {} }, run: () => 'still here' })],
    });
    const other = await connect([{ name: 'sound', url: sound.url }]);
    const example = await env.example(0);
    const [victim, bystander, neighbour] = await Promise.all([
      env.rollout(example, calling(['hang', {}]), OPTIONS),
      env.rollout(example, calling(...Array.from({ length: 5 }, (): [string, object] => ['here', {}])), OPTIONS),
      play(other, ['double', { x: 1 }], ['double', { x: 2 }]),
    ]);
    expect(victim).toMatchObject({
      reward: null,
      stopCondition: 'has_error',
      error: { source: 'environment', where: 'tool hang', name: 'McpServerError' },
    });
    expect(victim.error!.message).toContain(`MCP server frail at ${new URL(frail.url).host} failed: `);
    expect(victim.turns).toHaveLength(1);
    expect([bystander.error, neighbour.error]).toEqual([null, null]);
    expect(answers(bystander)).toHaveLength(5);
    expect(answers(neighbour)).toEqual(['2', '4']);
  });

  it('that refuses one request fails that rollout alone', async () => {
    const { url } = await world({ json });
    const env = await connect([{ name: 'picky', url }]);
    const [patient, refused] = await Promise.all([
      play(env, ['slow', {}], ['double', { x: 3 }]),
      play(env, ['echo', { word: 'x'.repeat(60_000) }]),
    ]);
    expect(refused.error!.message).toMatch(/^MCP server picky at .* failed: .*too large/);
    expect([patient.error, ...answers(patient)]).toEqual([null, 'at last', '6']);
  });

  it('that is there again is used again', async () => {
    const first = await world({ json });
    const env = await connect([{ name: 'phoenix', url: first.url }]);
    await first.die();
    const lost = await play(env, ['double', { x: 1 }]);
    expect(lost.error).toMatchObject({ name: 'McpServerError', message: expect.stringContaining('phoenix') as string });
    await world({ json, port: Number(new URL(first.url).port) });
    expect(answers(await play(env, ['double', { x: 4 }]))).toEqual(['8']);
  });
});

it('sends the headers it is given', async () => {
  const { url, tokens } = await world();
  const env = await connect([{ name: 'maths', url, headers: { authorization: 'Bearer sesame' } }]);
  await play(env, ['double', { x: 1 }]);
  expect(new Set(tokens)).toEqual(new Set(['Bearer sesame']));
});

it('a call that takes too long is a tool message, and a cancel is thrown', async () => {
  const { url } = await world();
  const env = await connect([{ name: 'slow', url }], { toolTimeoutSeconds: 0.02, maxTurns: 2 });
  const trace = await play(env, ['hang', {}]);
  expect(answers(trace)).toEqual(['tool hang took longer than 0.02 s']);
  const controller = new AbortController();
  const rollout = env.rollout(await env.example(0), calling(['hang', {}]), { ...OPTIONS, signal: controller.signal });
  controller.abort(new Error('cancelled'));
  await expect(rollout).rejects.toThrow('cancelled');
});

describe('connecting', () => {
  it('to nobody, or to somebody who does not speak the protocol, names the server', async () => {
    const { url, die } = await mcpWorld();
    await die();
    await expect(connect([{ name: 'gone', url }])).rejects.toThrow(McpServerError);
    await expect(connect([{ name: 'gone', url }])).rejects.toThrow(/^MCP server gone at 127\.0\.0\.1:\d+ failed: /);
    const shop = createServer((_, response) => response.end('<h1>Welcome</h1>'));
    await new Promise<void>((resolve) => shop.listen(0, '127.0.0.1', resolve));
    const shopUrl = `http://127.0.0.1:${(shop.address() as AddressInfo).port}/`;
    await expect(connect([{ name: 'shop', url: shopUrl }])).rejects.toThrow(/^MCP server shop at .* content type/);
    await new Promise((resolve) => shop.close(resolve));
  });

  it('to an address that is none, or to two servers with a tool of one name, is refused', async () => {
    await expect(connect([{ name: 'x', url: 'nowhere' }])).rejects.toThrow(
      'MCP server x: "nowhere" is not an http(s) address',
    );
    const [a, b] = [await world(), await world()];
    await expect(connect([a, b].map(({ url }, i) => ({ name: String(i), url })))).rejects.toThrow(
      'tools has two tools named double',
    );
  });
});
