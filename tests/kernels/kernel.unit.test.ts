import { expect, it } from 'vitest';
import { kernel, specialize } from '../../src/kernels/kernel';

const source = `
struct Params {
  n: u32, // a comment: with a colon
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
#if TWICE
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
#else
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
#endif
`;

it('reads bindings and parameters from the source', () => {
  const { bindings, params, code } = specialize(kernel('k', source), { TWICE: 1 });
  expect(bindings.map(({ name, kind }) => [name, kind])).toEqual([
    ['params', 'uniform'],
    ['x', 'read-only-storage'],
    ['y', 'storage'],
  ]);
  expect(params).toEqual([
    { name: 'n', type: 'u32', offset: 0 },
    { name: 'scale', type: 'f32', offset: 4 },
  ]);
  expect(code).toContain('const TWICE = 1u;');
});

it('chooses text by constants and keeps line numbers', () => {
  const { bindings, code } = specialize(kernel('k', source), { TWICE: 0 });
  expect(bindings.at(-1)!.name).toBe('z');
  expect(code.split('\n').length).toBe(source.split('\n').length + 1); // one line per constant before it
});

it('refuses a missing constant, a bad one, and an #if without #endif', () => {
  expect(() => specialize(kernel('k', source), {})).toThrow('constant TWICE was not given');
  expect(() => specialize(kernel('k', source), { TWICE: 0.5 })).toThrow('TWICE must be a whole number');
  expect(() => specialize(kernel('k', '#if A\n'), { A: 1 })).toThrow('#if without #endif');
});
