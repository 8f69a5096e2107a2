/** @file ONNX models: the sampler against its definition, folders that are not whole, templates, and what is refused. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { diskFolder, starterPath } from '../../cli/files';
import { openModel } from '../../cli/open_model';
import type { ChatModel, Message, SamplingArgs } from '../../src/envs';
import {
  TemplatePrompter,
  checkOnnxFolder,
  loadTemplateTokenizer,
  loadTransformers,
  sampleToken,
} from '../../src/model';
import type { Loaded, TransformersModel } from '../../src/model';
import { uniform } from '../../src/random';
import type { RandomKey } from '../../src/random';
import { exportOnnx } from '../onnx/export';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-'));
const folder = join(scratch, 'letter-sort');
let model: TransformersModel;

const load = (path: string, more: object = {}) =>
  loadTransformers({ name: 'm', source: path, local: true, folder: diskFolder(path), device: 'cpu', ...more });

beforeAll(async () => {
  await exportOnnx(starterPath('letter-sort'), folder);
  model = await load(folder);
});
afterAll(async () => {
  await model.destroy();
  rmSync(scratch, { recursive: true });
});

const KEY: RandomKey = [1, 2];
/** A question, and the model's greedy reply, which a penalty of repetition would change: it has a letter twice. */
const QUESTION = 'badce';
const SORTED = 'abcee';
const OFF = { temperature: 1, topK: 0, topP: 1, minP: 0 };
const user = (content: string): Message[] => [{ role: 'user', content }];
const ask = (sampling: SamplingArgs, key = KEY, on: ChatModel = model, content = QUESTION) =>
  on.complete({ messages: user(content), sampling: { maxTokens: 12, ...sampling }, key });

describe('the sampler', () => {
  const logits = Float32Array.from([0.3, 2, -1, 2, 1.1, 0, -3, 1.9]);
  const softmax = (scale: number) => {
    const mass = Array.from(logits, (logit) => Math.exp(logit / scale));
    const total = mass.reduce((sum, each) => sum + each, 0);
    return mass.map((each) => each / total);
  };

  it.each<[settings: Partial<typeof OFF>, kept: number[]]>([
    [{}, [0, 1, 2, 3, 4, 5, 6, 7]],
    [{ temperature: 0.5 }, [0, 1, 2, 3, 4, 5, 6, 7]],
    [{ topK: 3 }, [1, 3, 7]],
    [{ topK: 1 }, [1]], // of equal logits the lower id
    [{ topP: 0.5 }, [1, 3]],
    [{ topP: 0.57 }, [1, 3, 7]],
    [{ topP: 1e-9 }, [1]],
    [{ minP: 0.3 }, [1, 3, 4, 7]],
    [{ minP: 0.95 }, [1, 3]],
    [{ topK: 4, topP: 0.6, temperature: 2 }, [1, 3, 7]],
  ])('%j draws from %j in proportion, and reports the whole distribution', (settings, kept) => {
    const sampling = { ...OFF, ...settings };
    const probabilities = softmax(sampling.temperature);
    const mass = kept.reduce((sum, id) => sum + probabilities[id]!, 0);
    const counts = new Map<number, number>();
    const draws = 4000;
    for (let position = 0; position < draws; position++) {
      const { id, logprob } = sampleToken(logits, sampling, KEY, position);
      expect(logprob).toBeCloseTo(Math.log(probabilities[id]!), 6);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    expect([...counts.keys()].every((id) => kept.includes(id))).toBe(true);
    for (const id of kept) {
      const share = probabilities[id]! / mass;
      const deviation = Math.sqrt((share * (1 - share)) / draws);
      expect(Math.abs((counts.get(id) ?? 0) / draws - share)).toBeLessThan(4 * deviation + 1e-9);
    }
  });

  it('inverts the cumulative distribution at the random number of key and position', () => {
    for (let position = 0; position < 50; position++) {
      const u = uniform([7, 8], position);
      let before = 0;
      const wanted = softmax(1).findIndex((share) => u < (before += share));
      expect(sampleToken(logits, OFF, [7, 8], position).id).toBe(wanted);
    }
  });

  it('is greedy at temperature 0, and draws nothing from logits that are not finite', () => {
    const { id, logprob } = sampleToken(logits, { ...OFF, temperature: 0 }, KEY, 0);
    expect([id, logprob]).toEqual([1, expect.closeTo(Math.log(softmax(1)[1]!), 6)]);
    for (const bad of [NaN, Infinity]) {
      expect(() => sampleToken(Float32Array.from([0, bad]), OFF, KEY, 3)).toThrow(/not finite at position 3/);
    }
  });
});

it('does what it is told about sampling, whatever generation_config.json says', async () => {
  expect(await ask({ temperature: 1 })).toEqual(await ask({ temperature: 1 })); // same key, same reply
  const replies = async (sampling: SamplingArgs) => {
    const all = [];
    for (let i = 0; i < 12; i++) all.push((await ask(sampling, [i, 5])).message.content);
    return new Set(all);
  };
  expect((await replies({ temperature: 3 })).size).toBeGreaterThan(6);
  for (const one of [
    { temperature: 0 },
    { temperature: 3, topK: 1 },
    { temperature: 3, topP: 1e-6 },
    { temperature: 3, minP: 1 },
  ]) {
    expect(await replies(one)).toEqual(new Set([SORTED]));
  }
  await expect(ask({ topP: 0 })).rejects.toThrow('topP is 0; it must be above 0 and at most 1');
  await expect(ask({ temperature: NaN })).rejects.toThrow('temperature is NaN');
});

it('ends a reply at its limit and at its stop token, counts tokens, and keeps to the context', async () => {
  const cut = await ask({ temperature: 0, maxTokens: 3 });
  expect([cut.message.content, cut.finishReason, cut.usage]).toEqual([
    'abc',
    'length',
    { promptTokens: 8, completionTokens: 3 },
  ]);
  const whole = await ask({ temperature: 0 });
  expect([whole.finishReason, whole.tokens!.completionIds.length, whole.tokens!.logprobs.length]).toEqual([
    'stop',
    6,
    6,
  ]);
  await expect(ask({ maxTokens: 60 })).rejects.toThrow(
    /prompt of 8 tokens \+ 60 to generate; this model's context is 64/,
  );
  await expect(ask({ maxTokens: 60 })).rejects.toMatchObject({ name: 'ContextLengthError' });
});

it('is cancelled between tokens and while it waits, and answers others all the same', async () => {
  // A reply that goes on for a while.
  let key: RandomKey = [0, 1];
  const long = { temperature: 9, maxTokens: 50 };
  while ((await ask(long, key)).usage.completionTokens < 30) key = [key[0] + 1, 1];
  const { model: engine } = (model as unknown as { loaded: Loaded }).loaded;
  const forward = vi.spyOn(engine, 'forward');
  const controller = new AbortController();
  const reason = new Error('enough');
  const stopped = [0, 1].map(() =>
    model
      .complete({ messages: user(QUESTION), sampling: long, key }, { signal: controller.signal })
      .catch((error: unknown) => error),
  );
  const other = ask({ temperature: 0 });
  while (forward.mock.calls.length < 3) await new Promise((go) => setImmediate(go));
  controller.abort(reason);
  expect(await Promise.all(stopped)).toEqual([reason, reason]);
  expect(forward.mock.calls.length).toBeLessThan(15);
  expect((await other).message.content).toBe(SORTED);
  forward.mockRestore();
});

it('renders the model’s own template with the model’s own tokenizer as our format does', async () => {
  const { library } = (model as unknown as { loaded: Loaded }).loaded;
  const { tokenizer, eos } = await loadTemplateTokenizer(library, { source: folder, local: true });
  expect(eos).toBe(2);
  const prompter = new TemplatePrompter(tokenizer, [2]);
  const request = { messages: user(QUESTION), sampling: {}, key: KEY };
  const { tokens } = await ask({ temperature: 0 });
  expect(prompter.promptIds(request)).toEqual(tokens!.promptIds);
  expect(prompter.parse(tokens!.completionIds, {})).toEqual({ role: 'assistant', content: SORTED });
  expect(() => prompter.promptIds({ ...request, messages: user('a<eos>') })).toThrow(
    'a message of the user contains <eos>: this model cannot tell it from the special token',
  );
});

it('reads tool calls as the template writes them, and gives templates their arguments as objects', () => {
  const seen: unknown[] = [];
  const prompter = (template: string, text: string) =>
    new TemplatePrompter(
      {
        template,
        specialTokens: [],
        decode: () => text,
        render: (messages, tools) => {
          seen.push(messages, tools);
          return [];
        },
      },
      [0],
    );
  const tools = [{ name: 'f', description: 'F', parameters: {} }];
  const hermes = prompter('{{ "<tool_call>" }}', '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>');
  const call = { id: 'call_2', name: 'f', arguments: '{"x":1}' };
  const message = hermes.parse([], { tools, previousCalls: 2 });
  expect(
    message.toolCalls!.map((each) => ({ ...each, arguments: JSON.stringify(JSON.parse(each.arguments)) })),
  ).toEqual([call]);
  expect(prompter('ipython', '{"name": "f", "parameters": {}}').parse([], { tools }).toolCalls).toMatchObject([
    { name: 'f' },
  ]);
  expect(prompter('plain', '{"name": "f", "parameters": {}}').parse([], { tools }).toolCalls).toBeUndefined();
  const answer: Message = { role: 'tool', content: 'A', toolCallId: 'call_2' };
  hermes.promptIds({ messages: [message, answer], tools, sampling: {}, key: KEY });
  expect(seen).toEqual([
    [
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: 'call_2', type: 'function', function: { name: 'f', arguments: { x: 1 } } }],
      },
      { role: 'tool', content: 'A', tool_call_id: 'call_2', name: 'f' },
    ],
    [{ type: 'function', function: tools[0] }],
  ]);
});

it('names every file that a folder lacks, and takes the most exact weights that are there', () => {
  const whole = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx', 'onnx/model_q4.onnx'];
  expect(checkOnnxFolder('f', whole)).toBe('fp32');
  expect(checkOnnxFolder('f', whole, { dtype: 'q4' })).toBe('q4');
  expect(checkOnnxFolder('f', whole.toSpliced(3, 1))).toBe('q4');
  expect(() => checkOnnxFolder('f', ['config.json', 'onnx/x.onnx'])).toThrow(
    /^f: tokenizer.json and tokenizer_config.json and onnx\/model.onnx \(nor onnx\/model_fp16.onnx, .*\) are missing$/,
  );
  expect(() => checkOnnxFolder('f', whole, { dtype: 'fp16' })).toThrow('f: onnx/model_fp16.onnx is missing');
  const config = { 'transformers.js_config': { use_external_data_format: { 'model.onnx': 2 } } };
  expect(() => checkOnnxFolder('f', [...whole, 'onnx/model.onnx_data'], { config })).toThrow(
    'f: onnx/model.onnx_data_1 is missing',
  );
});

it('opens an ONNX folder by what it holds, and refuses what cannot work with one clear error', async () => {
  const request = { environment: 'letter-sort', model: folder, endpointSampling: {} };
  const opened = await openModel(request);
  expect((await ask({ temperature: 0 }, KEY, opened.model)).message.content).toBe(SORTED);
  opened.close();

  const broken = join(scratch, 'broken');
  await exportOnnx(starterPath('letter-sort'), broken);
  const onnx = join(broken, 'onnx/model.onnx');
  const bytes = readFileSync(onnx);
  rmSync(join(broken, 'tokenizer.json'));
  await expect(openModel({ ...request, model: broken })).rejects.toThrow(`${broken}: tokenizer.json is missing`);
  writeFileSync(join(broken, 'tokenizer.json'), readFileSync(join(folder, 'tokenizer.json')));
  writeFileSync(onnx, bytes.subarray(0, bytes.length / 2));
  await expect(openModel({ ...request, model: broken })).rejects.toMatchObject({
    name: 'CheckpointError',
    message: expect.stringContaining(broken) as string,
  });
  expect(readdirSync(broken)).not.toContain('.cache');
});

it('refuses a graph without a key-value cache', async () => {
  const bare = join(scratch, 'bare');
  await exportOnnx(starterPath('letter-sort'), bare, { cache: false });
  await expect(load(bare)).rejects.toThrow(
    /its graph has no key-value cache \(inputs input_ids, attention_mask, position_ids\)/,
  );
});
