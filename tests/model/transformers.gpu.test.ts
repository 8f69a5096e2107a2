/** @file The same weights in three engines: our kernels, ONNX Runtime through transformers.js, and an endpoint. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { diskFolder, starterPath } from '../../cli/files';
import { loadNative } from '../../cli/native';
import { diskStore } from '../../cli/store';
import { OpenAIModel, evaluate, libraryEntry, readRun } from '../../src/envs';
import type { ChatModel, ResultMetadata, SamplingArgs } from '../../src/envs';
import { loadTransformers } from '../../src/model';
import { modelHandler, serve } from '../endpoint';
import { parseLines, timeless } from '../envs/eval/worlds';
import { testGpu } from '../gpu';
import { exportOnnx } from '../onnx/export';
import { shapeOf } from '../shape';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-'));
afterAll(() => rmSync(scratch, { recursive: true }));

async function enginesFor(name: string) {
  const onnxFolder = join(scratch, name);
  await exportOnnx(starterPath(name), onnxFolder);
  const native = await loadNative(await testGpu(), diskFolder(starterPath(name)), 'one');
  const onnx = await loadTransformers({
    name: 'one',
    source: onnxFolder,
    local: true,
    folder: diskFolder(onnxFolder),
    device: 'cpu',
  });
  return { native, onnx };
}

it.each(['letter-sort', 'wiki-search-mini'])(
  '%s: greedy replies and their log-probabilities agree in all engines, and results have one shape',
  async (name) => {
    const { native, onnx } = await enginesFor(name);
    const endpoint = await serve(modelHandler(onnx, () => [1, 2]));
    try {
      const play = async (engine: string, model: ChatModel, saveTokens: boolean) => {
        const folder = join(scratch, `${name}-${engine}-${String(saveTokens)}`);
        const store = diskStore(folder);
        const { traces } = await evaluate(libraryEntry(name).load(), model, {
          numExamples: 8,
          rolloutsPerExample: 2,
          sampling: { temperature: 0 },
          store,
          saveTokens,
        });
        const read = (file: string) => readFileSync(join(folder, file), 'utf8');
        const rows = parseLines(read('results.jsonl')).sort(
          (a, b) => a.example_id - b.example_id || a.terrarium.rollout - b.terrarium.rollout,
        );
        expect((await readRun(store)).unreadable).toEqual([]);
        return { traces, rows, metadata: JSON.parse(read('metadata.json')) as ResultMetadata };
      };
      const ours = await play('native', native.model, false);
      const theirs = await play('onnx', onnx, false);
      const http = await play('http', new OpenAIModel({ baseUrl: endpoint.baseUrl, model: 'one' }), false);
      for (const { rows, metadata } of [theirs, http]) {
        expect(shapeOf(rows)).toEqual(shapeOf(ours.rows));
        expect(shapeOf(metadata)).toEqual(shapeOf(ours.metadata));
        expect(rows.map(timeless)).toEqual(ours.rows.map(timeless));
        expect({ ...metadata, time: 0 }).toEqual({ ...ours.metadata, time: 0 });
      }
      expect(ours.metadata.avg_reward).toBeGreaterThan(0.5);

      const [a, b] = [await play('native', native.model, true), await play('onnx', onnx, true)];
      expect(shapeOf(b.rows)).toEqual(shapeOf(a.rows));
      const tokens = ({ traces }: typeof a) => traces.flatMap(({ turns }) => turns.map((turn) => turn.tokens!));
      const logprobs = tokens(a).flatMap((turn) => turn.logprobs);
      const others = tokens(b).flatMap((turn) => turn.logprobs);
      expect(tokens(b).map(({ promptIds }) => promptIds)).toEqual(tokens(a).map(({ promptIds }) => promptIds));
      expect(Math.max(...logprobs.map((value, i) => Math.abs(value - others[i]!)))).toBeLessThan(1e-3);
    } finally {
      await endpoint.close();
      await onnx.destroy();
      native.destroy();
    }
  },
);

it('samples the same tokens from the same key as our kernels, under every filter', async () => {
  const { native, onnx } = await enginesFor('letter-sort');
  try {
    const settings: SamplingArgs[] = [
      {},
      { temperature: 0.7 },
      { temperature: 2, topK: 5 },
      { temperature: 2, topP: 0.8 },
      { temperature: 2, minP: 0.1 },
    ];
    let [same, all] = [0, 0];
    for (const sampling of settings) {
      for (let i = 0; i < 10; i++) {
        const request = {
          messages: [{ role: 'user' as const, content: 'fbadce' }],
          sampling: { maxTokens: 10, ...sampling },
          key: [i, 77] as const,
        };
        const [ours, theirs] = [await native.model.complete(request), await onnx.complete(request)];
        all++;
        if (theirs.message.content === ours.message.content) same++;
      }
    }
    // A draw may fall between two sums that differ in their last bit.
    expect(same).toBeGreaterThanOrEqual(all - 1);
  } finally {
    await onnx.destroy();
    native.destroy();
  }
});
