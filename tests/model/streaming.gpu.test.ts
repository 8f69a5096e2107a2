/** @file Checkpoints streamed into the GPU and out of it: bit for bit, within bounded memory, whatever their size. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { diskFolder } from '../../cli/files';
import { diskStorage } from '../../cli/run_storage';
import type { Gpu } from '../../src/kernels';
import {
  CheckpointError,
  Weights,
  formatModelConfig,
  formatSafetensorsHeader,
  initialValues,
  loadCheckpoint,
  encodeJson,
  openCheckpoint,
  writeCheckpoint,
} from '../../src/model';
import type { ByteFile, FileSource, ModelConfig, OpenCheckpoint, Storage } from '../../src/model';
import { TINY } from '../checks/generation';
import { readIndependently } from '../checks/independent_reader';
import { ORACLE_DIR, testGpu } from '../gpu';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-streaming-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let number = 0;
const newFolder = () => join(scratch, String(number++));

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

const MODELS = readdirSync(join(ORACLE_DIR, 'models'));
const oracleFolder = (model: string) => join(ORACLE_DIR, 'models', model);

/** Makes weights, uses them, and frees them. */
async function withWeights<T>(
  config: ModelConfig,
  storage: Storage,
  use: (weights: Weights) => Promise<T>,
): Promise<T> {
  const weights = await Weights.create(gpu, config, 'parameters', { storage });
  try {
    return await use(weights);
  } finally {
    weights.destroy();
  }
}

it.each(MODELS)('%s: streamed as it is stored, in f32, and read whole, it is the same bit for bit', async (model) => {
  const checkpoint = await openCheckpoint(diskFolder(oracleFolder(model)));
  const { tensors } = await loadCheckpoint(diskFolder(oracleFolder(model)));
  for (const storage of [checkpoint.storage, 'f32'] as const) {
    await withWeights(checkpoint.config, storage, async (weights) => {
      const seen: number[] = [];
      await checkpoint.writeTo(weights, { onProgress: (done) => seen.push(done) });
      expect(seen.at(-1)).toBe(checkpoint.bytes);
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
      const values = await weights.read();
      expect(new Set(values.keys())).toEqual(new Set(tensors.keys()));
      for (const [name, { values: expected }] of tensors) expect(values.get(name)!.values).toEqual(expected);
    });
  }
});

// ---- Memory ----

/** Qwen3-0.6B with 8 of its 28 layers: 437 MB in BF16, of which the embedding is 311. */
const LARGE: ModelConfig = {
  family: 'qwen3',
  vocabSize: 151_936,
  hiddenSize: 1024,
  layers: 8,
  heads: 16,
  kvHeads: 8,
  headDim: 128,
  intermediateSize: 3072,
  rmsNormEps: 1e-6,
  ropeTheta: 1e6,
  maxPositions: 1024,
  tiedEmbeddings: true,
  qkvBias: false,
  qkNorm: true,
};

/** The word at a place of a made-up file: finite numbers in BF16. */
function wordAt(index: number): number {
  let x = Math.imul(index + 1, 0x9e3779b1);
  x ^= x >>> 15;
  x = Math.imul(x, 0x85ebca77);
  return (x ^ (x >>> 13)) & 0xbfff_bfff; // the highest bit of both exponents is 0
}

/** A folder whose file of weights is made up where it is read: it is nowhere in memory, nor on disk. */
function madeUp(config: ModelConfig, weights: Weights, onRead: () => void): FileSource {
  const entries = weights.named.map(({ name, shape }) => [name, { dtype: 'BF16', shape }] as const);
  const header = formatSafetensorsHeader(entries);
  const elements = entries.reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const file: ByteFile = {
    size: header.byteLength + 2 * elements,
    read: (begin, end, into) => {
      onRead();
      if (end <= header.byteLength) return Promise.resolve(header.slice(begin, end));
      const bytes = into?.subarray(0, end - begin) ?? new Uint8Array(end - begin);
      const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      const first = (begin - header.byteLength) / 4;
      for (let i = 0; i < words.length; i++) words[i] = wordAt(first + i);
      return Promise.resolve(bytes);
    },
  };
  return {
    name: 'made-up',
    read: (name) =>
      Promise.resolve(name === 'config.json' ? encodeJson(formatModelConfig(config, 'bfloat16')) : undefined),
    open: (name) => Promise.resolve(name === 'model.safetensors' ? file : undefined),
  };
}

const MIB = 2 ** 20;

/** What streaming may add to the memory of the process. */
const MOST = 64e6;

/** One layer, and a smaller vocabulary: 97 MB. */
const MEDIUM: ModelConfig = { ...LARGE, vocabSize: 32_000, layers: 1 };

/** Memory outside of JavaScript's heap, and the array buffers in it. */
function memory(): { outside: number; buffers: number } {
  const { rss, heapTotal, arrayBuffers } = process.memoryUsage();
  return { outside: rss - heapTotal, buffers: arrayBuffers };
}

it('437 MB in BF16 come into the GPU, and go out to disk, with at most 64 MB of host memory', async () => {
  // What the first use of a queue costs, once, is no memory for weights.
  await withWeights(MEDIUM, 'bf16', async (weights) => {
    await (await openCheckpoint(madeUp(MEDIUM, weights, () => undefined))).writeTo(weights);
  });
  await withWeights(LARGE, 'bf16', async (weights) => {
    // A GPU without memory of its own keeps its buffers in ours: touch them all, so that they do not count as new.
    weights.clear();
    await gpu.idle();
    let peak = memory();
    const look = () => {
      const { outside, buffers } = memory();
      peak = { outside: Math.max(peak.outside, outside), buffers: Math.max(peak.buffers, buffers) };
    };
    const measure = async (work: () => Promise<unknown>) => {
      const before = memory();
      peak = before;
      await work();
      look();
      return { outside: peak.outside - before.outside, buffers: peak.buffers - before.buffers };
    };

    // Widened on the way, from a file in BF16 to weights that are trained.
    const widening = await withWeights(MEDIUM, 'f32', async (trained) => {
      trained.clear();
      await gpu.idle();
      const medium = await openCheckpoint(madeUp(MEDIUM, trained, look));
      return measure(() => medium.writeTo(trained));
    });

    const checkpoint = await openCheckpoint(madeUp(LARGE, weights, look));
    expect(checkpoint.storage).toBe('bf16');
    expect(checkpoint.bytes).toBeGreaterThan(415 * MIB);
    const loading = await measure(() => checkpoint.writeTo(weights));
    // All of it came, each number to its place.
    let at = 0;
    for (const { name, shape } of weights.named) {
      const length = shape.reduce((a, b) => a * b, 1);
      const first = Math.floor((length - 64) / 2 / 64) * 64;
      const { type, bytes } = await weights.readElements(name, first, 64);
      const isWide = type === 'F32';
      const expected = Array.from({ length: 64 }, (_, i) => {
        const element = at + first + i;
        const half = (wordAt(element >> 1) >>> (element % 2 === 0 ? 0 : 16)) & 0xffff;
        return isWide ? (half << 16) >>> 0 : half;
      });
      const Words = isWide ? Uint32Array : Uint16Array;
      expect([...new Words(bytes.slice().buffer)]).toEqual(expected);
      at += length;
    }

    const folder = newFolder();
    const storing = await measure(() => writeCheckpoint(diskStorage(folder), weights, { onProgress: look }));
    rmSync(folder, { recursive: true });
    process.stdout.write(
      `host memory: loading ${(loading.outside / MIB).toFixed(1)} MiB (${(loading.buffers / MIB).toFixed(1)} in array buffers), ` +
        `widening ${(widening.outside / MIB).toFixed(1)} MiB (${(widening.buffers / MIB).toFixed(1)}), ` +
        `storing ${(storing.outside / MIB).toFixed(1)} MiB (${(storing.buffers / MIB).toFixed(1)})\n`,
    );
    for (const { outside, buffers } of [widening, loading, storing]) {
      expect(buffers).toBeLessThan(MOST);
      expect(outside).toBeLessThan(MOST);
    }
  });
});

it('loading is called off between two pieces', async () => {
  await withWeights(MEDIUM, 'bf16', async (weights) => {
    const checkpoint = await openCheckpoint(madeUp(MEDIUM, weights, () => undefined));
    const controller = new AbortController();
    const why = new Error('enough');
    let last = 0;
    const onProgress = (done: number) => {
      last = done;
      if (done > 20 * MIB) controller.abort(why);
    };
    await expect(checkpoint.writeTo(weights, { signal: controller.signal, onProgress })).rejects.toBe(why);
    expect(last).toBeLessThan(30 * MIB);
  });
});

// ---- What is wrong is found ----

/** A checkpoint on disk, of small weights. */
async function small(storage: Storage = 'f32'): Promise<{ folder: string; checkpoint: OpenCheckpoint }> {
  const folder = newFolder();
  await withWeights(TINY, storage, async (weights) => {
    weights.write(initialValues(weights, 3), 'initial');
    await writeCheckpoint(diskStorage(folder), weights);
  });
  return { folder, checkpoint: await openCheckpoint(diskFolder(folder)) };
}

it('a file that is cut after it was opened is named with its tensor', async () => {
  const { folder, checkpoint } = await small();
  const path = join(folder, 'model.safetensors');
  truncateSync(path, 5000);
  await withWeights(TINY, 'f32', async (weights) => {
    const failing = checkpoint.writeTo(weights);
    await expect(failing).rejects.toThrow(CheckpointError);
    await expect(failing).rejects.toThrow(
      /^\/.*\/model\.safetensors: tensor model\.\S+ can no longer be read: .* ends at byte 5000, before byte \d+$/,
    );
    rmSync(path);
    await expect(checkpoint.writeTo(weights)).rejects.toThrow(
      /model.embed_tokens.weight can no longer be read: ENOENT/,
    );
  });
});

it('a number that is not finite is named with file, tensor and place', async () => {
  const { folder, checkpoint } = await small();
  const path = join(folder, 'model.safetensors');
  const bytes = readFileSync(path);
  // The last tensor of the file is the norm of 64 elements.
  new DataView(bytes.buffer, bytes.byteOffset).setFloat32(bytes.byteLength - 4 * 60, NaN, true);
  writeFileSync(path, bytes);
  await withWeights(TINY, 'f32', async (weights) => {
    await expect(checkpoint.writeTo(weights)).rejects.toThrow(CheckpointError);
    await expect(checkpoint.writeTo(weights)).rejects.toThrow(
      `${folder}/model.safetensors: tensor model.norm.weight, from element 0 on: not a finite number at 4`,
    );
  });
});

// ---- Round trips ----

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

it.each(
  MODELS.flatMap(
    (model) =>
      [
        [model, 'one file', undefined],
        [model, 'shards', 20_000],
      ] as const,
  ),
)(
  '%s: exported to %s, it loads bit for bit, and an independent reader finds the same',
  async (model, _, shardBytes) => {
    const checkpoint = await openCheckpoint(diskFolder(oracleFolder(model)));
    const { config, storage } = checkpoint;
    const folder = newFolder();
    await withWeights(config, storage, async (weights) => {
      await checkpoint.writeTo(weights);
      const extra = new Map([['tokenizer_config.json', encodeJson({ model_max_length: 7 })]]);
      const files = await writeCheckpoint(diskStorage(folder), weights, { files: extra, shardBytes });
      if (shardBytes === undefined) expect(files).toEqual(['model.safetensors']);
      else expect(files.length).toBeGreaterThan(2);

      const again = await openCheckpoint(diskFolder(folder));
      expect(again.config).toEqual(config);
      expect(again.storage).toBe(storage);
      await withWeights(config, storage, async (other) => {
        await again.writeTo(other);
        expect(await other.readFlat()).toEqual(await weights.readFlat());
      });

      const read = readIndependently(folder);
      expect(read.files).toEqual(files);
      expect(read.config.torch_dtype).toBe({ f32: 'float32', bf16: 'bfloat16', f16: 'float16' }[storage]);
      expect(Object.keys(read.tensors).sort()).toEqual(weights.named.map(({ name }) => name).sort());
      for (const { name, shape } of weights.named) {
        const { type, bytes } = await weights.readElements(
          name,
          0,
          shape.reduce((a, b) => a * b, 1),
        );
        expect(read.tensors[name]).toEqual({ dtype: type, shape, sha256: sha256(bytes) });
      }
    });
  },
);

it('an export in one file over one in shards leaves no index that would be read in its place', async () => {
  const folder = newFolder();
  await withWeights(TINY, 'f32', async (weights) => {
    weights.write(initialValues(weights, 3), 'initial');
    await writeCheckpoint(diskStorage(folder), weights, { shardBytes: 40_000 });
    expect(existsSync(join(folder, 'model.safetensors.index.json'))).toBe(true);
    await writeCheckpoint(diskStorage(folder), weights);
    expect(existsSync(join(folder, 'model.safetensors.index.json'))).toBe(false);
    await (await openCheckpoint(diskFolder(folder))).read();
  });
});

it('an export that is called off is no model', async () => {
  const folder = newFolder();
  await withWeights(TINY, 'f32', async (weights) => {
    await writeCheckpoint(diskStorage(folder), weights);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(writeCheckpoint(diskStorage(folder), weights, { signal })).rejects.toThrow('enough');
    await expect(openCheckpoint(diskFolder(folder))).rejects.toThrow(`${folder}: config.json is missing`);
  });
});
