import { expect, it } from 'vitest';
import {
  CheckpointError,
  bytesFile,
  formatSafetensors,
  halfToFloat,
  parseSafetensors,
  parseSafetensorsHeader,
  readFloats,
} from '../../src/model';

const tensors = new Map([
  ['a', { shape: [2, 3], values: Float32Array.of(1, -2, 3.5, 4, 5, 6e-20) }],
  ['b', { shape: [], values: Float32Array.of(7) }],
]);

/** A file with this header and this many data bytes. */
function fileWith(header: unknown, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

it('round-trips bit for bit', () => {
  const file = parseSafetensors(formatSafetensors(tensors, { made: 'here' }), 'x');
  expect(file.metadata).toEqual({ format: 'pt', made: 'here' });
  for (const [name, { shape, values }] of tensors) {
    expect(file.entries.get(name)!.shape).toEqual(shape);
    expect(readFloats(file, name)).toEqual(values);
  }
});

it('widens BF16 and F16 exactly', () => {
  const header = {
    h: { dtype: 'F16', shape: [4], data_offsets: [0, 8] },
    b: { dtype: 'BF16', shape: [2], data_offsets: [8, 12] },
  };
  const bytes = fileWith(header, 12);
  const at = bytes.length - 12;
  new Uint8Array(bytes.buffer, at).set(
    new Uint8Array(Uint16Array.of(0x3c00, 0x0001, 0xfbff, 0xb555, 0x3f80, 0xc049).buffer),
  );
  const file = parseSafetensors(bytes, 'x');
  expect([...readFloats(file, 'h')]).toEqual([1, 2 ** -24, -65504, -0.333251953125]);
  expect([...readFloats(file, 'b')]).toEqual([1, -3.140625]);
  expect(halfToFloat(0x7c00)).toBe(Infinity);
  expect(halfToFloat(0x7e00)).toBeNaN();
});

it.each([
  ['empty', new Uint8Array(3), 'too few'],
  ['header longer than the file', fileWith({}, 0).slice(0, 9), 'the header claims 2 bytes'],
  [
    'a header of 10^18 bytes',
    new Uint8Array(new BigUint64Array([10n ** 18n, 0n]).buffer),
    'truncated, or not safetensors',
  ],
  ['not JSON', fileWith('{"a": ', 0), 'the header is not JSON'],
  ['not UTF-8', Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe), 'the header is not JSON'],
  ['a list', fileWith([], 0), 'not a JSON object'],
  ['entry is null', fileWith({ a: null }, 0), 'tensor a: the header entry is not an object'],
  ['unknown type', fileWith({ a: { dtype: 'F8', shape: [1], data_offsets: [0, 1] } }, 1), 'tensor a has type "F8"'],
  ['negative shape', fileWith({ a: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }, 4), 'tensor a: shape [-1]'],
  ['huge shape', fileWith({ a: { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 4] } }, 4), 'needs'],
  ['wrong size', fileWith({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } }, 4), 'needs 8 bytes, has 4'],
  [
    'past the end',
    fileWith({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }, 4),
    'bytes 0 to 8 of 4 (truncated file?)',
  ],
  [
    'offsets turned round',
    fileWith({ a: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }, 4),
    'tensor a: bytes 4 to 0',
  ],
  [
    'overlap',
    fileWith(
      { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] }, b: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } },
      4,
    ),
    'overlap or gap',
  ],
  ['gap', fileWith({ a: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } }, 8), 'overlap or gap'],
  [
    'bytes left over',
    fileWith({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, 8),
    'tensors end at byte 4 of 8',
  ],
  [
    'a type that every object has',
    fileWith({ a: { dtype: 'toString', shape: [1], data_offsets: [0, 4] } }, 4),
    'tensor a has type "toString"',
  ],
])('refuses, read whole and by its header alone: %s', async (_, bytes, message) => {
  for (const parse of [
    () => Promise.resolve().then(() => parseSafetensors(bytes, 'model.safetensors')),
    () => parseSafetensorsHeader(bytesFile(bytes), 'model.safetensors'),
  ]) {
    await expect(parse()).rejects.toThrow(CheckpointError);
    await expect(parse()).rejects.toThrow('model.safetensors: ');
    await expect(parse()).rejects.toThrow(message);
  }
});

it('a header says the same without its data, of which no byte is read', async () => {
  const bytes = formatSafetensors(tensors, { made: 'here' });
  const file = bytesFile(bytes);
  let furthest = 0;
  const watched = {
    size: file.size,
    read: (begin: number, end: number) => {
      furthest = Math.max(furthest, end);
      return file.read(begin, end);
    },
  };
  const { data, ...whole } = parseSafetensors(bytes, 'x');
  expect(await parseSafetensorsHeader(watched, 'x')).toEqual(whole);
  expect(furthest).toBe(whole.dataBegin);
  expect(data.byteLength).toBe(28);
});

it('a hostile name is only a name', () => {
  const bytes = fileWith(
    '{"__proto__": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "__metadata__": {"__proto__": {"x": 1}}}',
    4,
  );
  const file = parseSafetensors(bytes, 'x');
  expect([...file.entries.keys()]).toEqual(['__proto__']);
  expect(({} as Record<string, unknown>).x).toBeUndefined();
});

it('names a tensor that is not there', () => {
  expect(() => readFloats(parseSafetensors(formatSafetensors(tensors), 'f'), 'c')).toThrow('f: tensor c is missing');
});
