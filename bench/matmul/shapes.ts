/** @file Every matrix product of a transformer's layers: forward, and the two of its backward. */

/** A linear layer, y = x W^T. */
interface Linear {
  name: string;
  inputs: number;
  outputs: number;
}

/**
 * NT: y[m,n] = x[m,k] W[n,k]^T, m the tokens. NN: dx[m,n] = dy[m,k] W[k,n]. TN: dW[m,n] += dy[k,m]^T x[k,n], k the tokens.
 */
export const LAYOUTS = ['NT', 'NN', 'TN'] as const;
export type Layout = (typeof LAYOUTS)[number];

export interface Shape {
  /** `M gate, up` */
  name: string;
  layout: Layout;
  m: number;
  n: number;
  k: number;
}

export interface Family {
  model: string;
  tokens: number;
  dim: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  ffn: number;
  /** Of the output projection; left out where only layers are measured. */
  vocabulary?: number;
}

/** Configs S and M of training, and the layers of SmolLM2-135M. */
export const FAMILIES: readonly Family[] = [
  { model: 'S', tokens: 2048, dim: 64, heads: 4, kvHeads: 4, headDim: 16, ffn: 192, vocabulary: 64 },
  { model: 'M', tokens: 2048, dim: 128, heads: 4, kvHeads: 4, headDim: 32, ffn: 384, vocabulary: 512 },
  { model: 'SmolLM2-135M', tokens: 512, dim: 576, heads: 9, kvHeads: 3, headDim: 64, ffn: 1536 },
];

function linears({ dim, heads, kvHeads, headDim, ffn, vocabulary }: Family): Linear[] {
  return [
    { name: 'q, k, v', inputs: dim, outputs: (heads + 2 * kvHeads) * headDim },
    { name: 'out', inputs: heads * headDim, outputs: dim },
    { name: 'gate, up', inputs: dim, outputs: 2 * ffn },
    { name: 'down', inputs: ffn, outputs: dim },
    ...(vocabulary === undefined ? [] : [{ name: 'head', inputs: dim, outputs: vocabulary }]),
  ];
}

function shapeOf({ inputs, outputs }: Linear, layout: Layout, tokens: number): Omit<Shape, 'name'> {
  if (layout === 'NT') return { layout, m: tokens, n: outputs, k: inputs };
  if (layout === 'NN') return { layout, m: tokens, n: inputs, k: outputs };
  return { layout, m: outputs, n: inputs, k: tokens };
}

/** Every shape once, named by the layers that have it. */
export function shapesOf(families: readonly Family[]): Shape[] {
  const shapes = new Map<string, Shape>();
  for (const family of families) {
    for (const layer of linears(family)) {
      for (const layout of LAYOUTS) {
        const shape = shapeOf(layer, layout, family.tokens);
        const key = Object.values(shape).join();
        const known = shapes.get(key);
        if (known) known.name += ` = ${family.model} ${layer.name}`;
        else shapes.set(key, { name: `${family.model} ${layer.name}`, ...shape });
      }
    }
  }
  return [...shapes.values()];
}

/** Sides of A and B as they lie in memory, [rows, columns]. */
export function operandsOf({ layout, m, n, k }: Shape): { a: [number, number]; b: [number, number] } {
  return { a: layout === 'TN' ? [k, m] : [m, k], b: layout === 'NT' ? [n, k] : [k, n] };
}

/** Multiplications and additions. */
export function flopsOf({ m, n, k }: Shape): number {
  return 2 * m * n * k;
}
