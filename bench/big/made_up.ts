/** @file A checkpoint of any size without a file: random BF16 weights, made where they are read, the same for the same place. */
import { encodeJson, formatModelConfig, formatSafetensorsHeader } from '../../src/model';
import type { ByteFile, FileSource, ModelConfig, NamedTensor } from '../../src/model';

/**
 * Normal-ish weights of standard deviation 0.02 as transformers initialises them; norms are 1.
 * @param named the model's tensors, in the order of the file
 */
export function madeUpCheckpoint(config: ModelConfig, named: readonly NamedTensor[]): FileSource {
  const header = formatSafetensorsHeader(named.map(({ name, shape }) => [name, { dtype: 'BF16', shape }] as const));
  let size = header.byteLength;
  const ranges = named.map(({ shape }) => {
    const begin = size;
    size += 2 * shape.reduce((product, length) => product * length, 1);
    return { begin, end: size, isMatrix: shape.length > 1 };
  });
  const file: ByteFile = {
    size,
    read: (begin, end, into) => {
      if (end <= header.byteLength) return Promise.resolve(header.slice(begin, end));
      const { isMatrix } = ranges.find((range) => begin >= range.begin && end <= range.end)!;
      const bytes = into?.subarray(0, end - begin) ?? new Uint8Array(end - begin);
      const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
      for (let i = 0; i < halves.length; i++) halves[i] = isMatrix ? weightAt(begin / 2 + i) : ONE;
      return Promise.resolve(bytes);
    },
  };
  return {
    name: 'made up',
    read: (name) =>
      Promise.resolve(name === 'config.json' ? encodeJson(formatModelConfig(config, 'bfloat16')) : undefined),
    open: (name) => Promise.resolve(name === 'model.safetensors' ? file : undefined),
  };
}

/** 1 in BF16. */
const ONE = 0x3f80;

const bits = new Uint32Array(1);
const value = new Float32Array(bits.buffer);

/** The sum of four bytes of a hash is nearly normal: mean 510, standard deviation 148. */
function weightAt(index: number): number {
  let x = Math.imul(index + 1, 0x9e3779b1);
  x ^= x >>> 15;
  x = Math.imul(x, 0x85ebca77);
  x ^= x >>> 13;
  const sum = (x & 255) + ((x >>> 8) & 255) + ((x >>> 16) & 255) + (x >>> 24);
  value[0] = ((sum - 510) / 148) * 0.02;
  return bits[0]! >>> 16;
}
