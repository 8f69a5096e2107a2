/** @file One matrix product in three hands, each with A and B on the device. */
import { defaultDevice, init, jit, numpy as np } from '@jax-js/jax';
import { Recorder, Submission, kernel, linear, linearBackwardInput, linearBackwardWeight } from '../../src/kernels';
import type { Gpu, Tensor } from '../../src/kernels';
import { installBrowserGlobals } from '../browser_globals';
import plainSource from './plain.wgsl?raw';
import { operandsOf } from './shapes';
import type { Shape } from './shapes';

export interface Operands {
  a: Float32Array<ArrayBuffer>;
  b: Float32Array<ArrayBuffer>;
}

export interface Product {
  name: string;
  /** Computes C so many times, and waits for the last. */
  run(times: number): Promise<void>;
  /** C of one product. */
  result(): Promise<Float32Array>;
  destroy(): void;
}

type Record = (record: Recorder, shape: Shape, tensors: { a: Tensor; b: Tensor; c: Tensor; live: Tensor }) => void;

const recordOurs: Record = (record, { layout, m, n, k }, { a, b, c, live }) => {
  if (layout === 'NT') linear(record, { x: a, weight: b, y: c, live, m, n, k });
  else if (layout === 'NN') linearBackwardInput(record, { dy: a, weight: b, dx: c, m, n, k });
  else linearBackwardWeight(record, { dy: a, x: b, dWeight: c, m, n, k });
};

const plain = kernel('plain matmul', plainSource);

/** Rows and columns of C that a workgroup of the plain kernel computes. */
const PLAIN_TILE = 32;

const recordPlain: Record = (record, { layout, m, n, k }, { a, b, c }) => {
  if (m % PLAIN_TILE !== 0 || n % PLAIN_TILE !== 0 || k % 4 !== 0) {
    throw new RangeError(`the plain kernel takes no ${m} x ${n} x ${k}`);
  }
  record.dispatch(plain, {
    bindings: { a, b, c },
    params: { m, n, k },
    constants: { NT: 0, NN: 0, TN: 0, [layout]: 1 },
    workgroups: () => [n / PLAIN_TILE, m / PLAIN_TILE],
  });
};

async function recorded(gpu: Gpu, name: string, dispatch: Record, shape: Shape, operands: Operands): Promise<Product> {
  const record = new Recorder(gpu, name);
  const sides = operandsOf(shape);
  const a = record.input('a', sides.a);
  const b = record.input('b', sides.b);
  const live = record.input('live', [1], 'u32');
  const c = record.tensor('c', [shape.m, shape.n]);
  dispatch(record, shape, { a, b, c, live });
  const program = await record.finish({ keep: [c] });
  gpu.write(a.buffer, a.offset, operands.a);
  gpu.write(b.buffer, b.offset, operands.b);
  gpu.write(live.buffer, live.offset, Uint32Array.of(shape.m));
  return {
    name,
    async run(times) {
      const submission = new Submission(gpu, name);
      for (let i = 0; i < times; i++) submission.run(program);
      submission.submit();
      await gpu.idle();
    },
    async result() {
      const submission = new Submission(gpu, name).clear(c).run(program);
      const values = submission.read(c);
      submission.submit();
      return new Float32Array(await values);
    },
    destroy: () => program.destroy(),
  };
}

/** The product as the trainer computes it. */
export function ourProduct(gpu: Gpu, shape: Shape, operands: Operands): Promise<Product> {
  return recorded(gpu, 'ours', recordOurs, shape, operands);
}

export function plainProduct(gpu: Gpu, shape: Shape, operands: Operands): Promise<Product> {
  return recorded(gpu, 'plain', recordPlain, shape, operands);
}

/** In jax-js a product is a jitted function; its TN does not add to what is there, as a weight's gradient would. */
export async function jaxProduct(gpu: Gpu, shape: Shape, { a, b }: Operands): Promise<Product> {
  installBrowserGlobals(gpu.device);
  await init('webgpu');
  defaultDevice('webgpu');
  const sides = operandsOf(shape);
  const left = np.array(a, { shape: sides.a });
  const right = np.array(b, { shape: sides.b });
  const dot = jit((x: np.Array, y: np.Array) =>
    np.dot(shape.layout === 'TN' ? x.transpose() : x, shape.layout === 'NT' ? y.transpose() : y),
  );
  const once = () => dot(left.ref, right.ref);
  return {
    name: 'jax-js',
    async run(times) {
      // All of them are kept until they are there: an array that is disposed of before is never computed.
      const results = Array.from({ length: times }, once);
      for (const result of await Promise.all(results.map((each) => each.blockUntilReady()))) result.dispose();
    },
    result: async () => (await once().data()) as Float32Array,
    destroy() {
      left.dispose();
      right.dispose();
      dot.dispose();
    },
  };
}
