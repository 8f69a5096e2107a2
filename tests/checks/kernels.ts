/** @file Each kernel against the plain reference at odd sizes; each gradient against finite differences of it. */
import {
  attention,
  attentionBackward,
  biasGradient,
  embedding,
  embeddingBackward,
  groupRowsById,
  linear,
  linearBackwardInput,
  linearBackwardWeight,
  logitsBackward,
  logprob,
  normStride,
  rmsnorm,
  rmsnormBackward,
  rmsnormBackwardWeight,
  rope,
  ropeBackward,
  ropeTable,
  swiglu,
  swigluBackward,
} from '../../src/kernels';
import { Bench, dot, noise, numericGradient } from './harness';
import { dropoutCheck } from './kernels_dropout';
import { generationKernelChecks } from './kernels_generation';
import { storageKernelChecks } from './kernels_storage';
import { trainingKernelChecks } from './kernels_training';
import * as reference from './reference';
import { relativeError } from './report';
import type { Check, CheckCase } from './report';

const FORWARD = 1e-5;
const BACKWARD = 2e-5;

/** Rows, columns and inner sizes: single, odd, just over a tile, multiples of 4 (vec4 loads) and not. */
const MATMUL_SIZES: [number, number, number][] = [
  [1, 1, 1],
  [3, 5, 7],
  [33, 31, 2],
  [1, 64, 36],
  [65, 36, 64],
  [130, 97, 33],
  [7, 4, 256],
];

const matmulCheck: Check = {
  name: 'matmul',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const [m, n, k] of MATMUL_SIZES) {
      const x = noise(m * k, 1, m, n, k);
      const w = noise(n * k, 2, m, n, k);
      const bias = noise(n, 3, n);
      const residual = noise(m * n, 4, m, n);
      const size = `${m}x${n}x${k}`;
      const plain = reference.matmul(
        m,
        n,
        k,
        (i, l) => x[i * k + l]!,
        (l, j) => w[j * k + l]!,
      );
      for (const [suffix, withBias, withResidual] of [
        ['', 0, 0],
        [' + bias', 1, 0],
        [' + residual', 0, 1],
        [' + both', 1, 1],
      ] as const) {
        const bench = new Bench(gpu);
        linear(bench.record, {
          x: bench.input('x', x),
          weight: bench.input('w', w),
          y: bench.output('y', [m, n]),
          live: bench.live(),
          bias: withBias ? bench.input('bias', bias) : undefined,
          residual: withResidual ? bench.input('residual', residual) : undefined,
          m,
          n,
          k,
        });
        const [y] = await bench.run('y');
        const expected = plain.map((v, at) => v + withBias * bias[at % n]! + withResidual * residual[at]!);
        cases.push({ name: `NT ${size}${suffix}`, error: relativeError(y!, expected), tolerance: FORWARD });
      }
      const nn = new Bench(gpu);
      const b = noise(k * n, 5, m, n, k);
      linearBackwardInput(nn.record, {
        dy: nn.input('dy', x),
        weight: nn.input('w', b),
        dx: nn.output('dx', [m, n]),
        m,
        n,
        k,
      });
      const [dx] = await nn.run('dx');
      const expectedNn = reference.matmul(
        m,
        n,
        k,
        (i, l) => x[i * k + l]!,
        (l, j) => b[l * n + j]!,
      );
      cases.push({ name: `NN ${size}`, error: relativeError(dx!, expectedNn), tolerance: FORWARD });

      const tn = new Bench(gpu);
      const dy = noise(k * m, 6, m, n, k);
      linearBackwardWeight(tn.record, {
        dy: tn.input('dy', dy),
        x: tn.input('x', b),
        dWeight: tn.input('dw', residual),
        m,
        n,
        k,
      });
      const [dw] = await tn.run('dw');
      const product = reference.matmul(
        m,
        n,
        k,
        (i, l) => dy[l * m + i]!,
        (l, j) => b[l * n + j]!,
      );
      const expectedTn = product.map((v, at) => v + residual[at]!);
      cases.push({
        name: `TN ${size}, added to what is there`,
        error: relativeError(dw!, expectedTn),
        tolerance: FORWARD,
      });
    }
    return cases;
  },
};

const matmulLiveCheck: Check = {
  name: 'matmul: rows past the live count are left alone',
  async run(gpu) {
    const bench = new Bench(gpu);
    const options = { x: bench.input('x', noise(40 * 8, 1)), weight: bench.input('w', noise(8 * 8, 2)) };
    const y = bench.input('y', new Float32Array(40 * 8).fill(-7), [40, 8]);
    linear(bench.record, { ...options, y, live: bench.live(5), m: 40, n: 8, k: 8 });
    const [out] = await bench.run('y');
    const touched = out!.slice(0, 40).filter((v) => v === -7).length + out!.slice(40).filter((v) => v !== -7).length;
    return [{ name: 'wrongly touched or left elements', error: touched, tolerance: 0 }];
  },
};

const rmsnormCheck: Check = {
  name: 'rmsnorm',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const [rows, dim] of [
      [1, 1],
      [3, 7],
      [17, 36],
      [70, 64],
      [5, 1000],
    ] as const) {
      const eps = 1e-3;
      const x = noise(rows * dim, 10, rows, dim);
      const weight = noise(dim, 11, dim);
      const dy = noise(rows * dim, 12, rows, dim);
      const start = noise(rows * dim, 13, rows, dim);
      const bench = new Bench(gpu);
      const tensors = {
        x: bench.input('x', x),
        weight: bench.input('weight', weight),
        rstd: bench.output('rstd', [rows]),
      };
      rmsnorm(bench.record, { ...tensors, y: bench.output('y', [rows, dim]), live: bench.live(), rows, dim, eps });
      const dyTensor = bench.input('dy', dy);
      const dWeight = bench.input('dweight', noise(dim, 14, dim));
      rmsnormBackwardWeight(bench.record, {
        x: { tensor: tensors.x, stride: dim },
        dy: { tensor: dyTensor, stride: dim },
        rstd: { tensor: tensors.rstd, stride: 1 },
        gradient: dWeight,
        tokens: rows,
        dim,
      });
      rmsnormBackward(bench.record, { ...tensors, dy: dyTensor, dx: bench.input('dx', start), rows, dim });
      const [y, dx, dw] = await bench.run('y', 'dx', 'dweight');
      const name = `${rows}x${dim}`;
      cases.push({
        name: `${name} y`,
        error: relativeError(y!, reference.rmsnorm(x, weight, dim, eps)),
        tolerance: FORWARD,
      });
      const gx = numericGradient((at) => dot(reference.rmsnorm(at, weight, dim, eps), dy), x);
      cases.push({
        name: `${name} dx, added`,
        error: relativeError(
          dx!,
          gx.map((v, i) => v + start[i]!),
        ),
        tolerance: BACKWARD,
      });
      const gw = numericGradient((at) => dot(reference.rmsnorm(x, at, dim, eps), dy), weight);
      const wanted = gw.map((v, i) => v + noise(dim, 14, dim)[i]!);
      cases.push({ name: `${name} dweight, added`, error: relativeError(dw!, wanted), tolerance: BACKWARD });
    }
    return cases;
  },
};

const rmsnormGatherCheck: Check = {
  name: 'rmsnorm on some rows',
  async run(gpu) {
    const [tokens, dim, eps] = [9, 20, 1e-5];
    const index = [8, 2, 3];
    const NONE = 0xffffffff;
    const slot = Array.from({ length: tokens }, (_, t) => (index.includes(t) ? index.indexOf(t) : NONE));
    const x = noise(tokens * dim, 15);
    const weight = noise(dim, 16);
    const dy = noise(index.length * dim, 17);
    const gather = (values: ArrayLike<number>) =>
      index.flatMap((t) => Array.from(values).slice(t * dim, (t + 1) * dim));
    const bench = new Bench(gpu);
    const rows = index.length;
    const tensors = {
      x: bench.input('x', x),
      weight: bench.input('weight', weight),
      rstd: bench.output('rstd', [rows]),
    };
    const indexTensor = bench.ids('index', index);
    const y = bench.output('y', [rows, dim]);
    rmsnorm(bench.record, { ...tensors, y, live: bench.live(), rows, dim, eps, index: indexTensor });
    const dyTensor = bench.input('dy', dy);
    rmsnormBackwardWeight(bench.record, {
      x: { tensor: tensors.x, stride: dim },
      dy: { tensor: dyTensor, stride: dim },
      rstd: { tensor: tensors.rstd, stride: 1 },
      gradient: bench.input('dweight', new Float32Array(dim)),
      tokens: rows,
      dim,
      index: indexTensor,
    });
    const dxOptions = { ...tensors, dy: dyTensor, dx: bench.output('dx', [tokens, dim]), rows: tokens, dim };
    rmsnormBackward(bench.record, { ...dxOptions, slot: bench.ids('slot', slot) });
    const [out, dx, dw] = await bench.run('y', 'dx', 'dweight');
    const forward = (at: ArrayLike<number>, w: ArrayLike<number>) => reference.rmsnorm(gather(at), w, dim, eps);
    return [
      { name: 'y', error: relativeError(out!, forward(x, weight)), tolerance: FORWARD },
      {
        name: 'dx, zero elsewhere',
        error: relativeError(
          dx!,
          numericGradient((at) => dot(forward(at, weight), dy), x),
        ),
        tolerance: BACKWARD,
      },
      {
        name: 'dweight',
        error: relativeError(
          dw!,
          numericGradient((w) => dot(forward(x, w), dy), weight),
        ),
        tolerance: BACKWARD,
      },
    ];
  },
};

const HEADS = [
  { qHeads: 3, kvHeads: 3, headDim: 12 },
  { qHeads: 4, kvHeads: 2, headDim: 16 },
  { qHeads: 6, kvHeads: 1, headDim: 6 },
  { qHeads: 2, kvHeads: 1, headDim: 66 },
];

const ropeCheck: Check = {
  name: 'rope, with and without q/k norm',
  async run(gpu) {
    const cases: CheckCase[] = [];
    const positions = [0, 1, 2, 90, 3, 0, 40];
    for (const heads of HEADS) {
      const { qHeads, kvHeads, headDim } = heads;
      const rows = positions.length;
      const stored = (qHeads + 2 * kvHeads) * headDim;
      const rotated = (qHeads + kvHeads) * headDim;
      const qkv = noise(rows * stored, 20, headDim);
      const dqk = noise(rows * rotated, 21, headDim);
      const stride = normStride(headDim);
      const q = noise(headDim, 22, headDim);
      const k = noise(headDim, 23, headDim);
      const packed = new Float64Array(2 * stride);
      packed.set(q, 0);
      packed.set(k, stride);
      const eps = 1e-3;
      for (const normed of [false, true]) {
        const bench = new Bench(gpu);
        const common = {
          qkv: bench.input('qkv', qkv),
          positions: bench.ids('positions', positions),
          table: bench.input('table', ropeTable(100, headDim, 1000)),
          norms: normed ? bench.input('norms', packed) : undefined,
          rstd: normed ? bench.output('rstd', [rows, qHeads + kvHeads]) : undefined,
          rows,
          ...heads,
        };
        rope(bench.record, { ...common, qk: bench.output('qk', [rows, rotated]), eps });
        const dqkTensor = bench.input('dqk', dqk);
        // What is not written stays zero, as the gradient of v, which rope does not touch, is.
        ropeBackward(bench.record, {
          ...common,
          dqk: dqkTensor,
          dqkv: bench.input('dqkv', new Float32Array(rows * stored)),
        });
        const labels = ['qk', 'dqkv'];
        if (normed) {
          [0, 1].forEach((part) => {
            const firstHead = part === 0 ? 0 : qHeads;
            rmsnormBackwardWeight(bench.record, {
              x: { tensor: common.qkv, stride: stored, offset: firstHead * headDim },
              dy: { tensor: dqkTensor, stride: rotated, offset: firstHead * headDim },
              rstd: { tensor: common.rstd!, stride: qHeads + kvHeads, offset: firstHead },
              gradient: bench.input(`dnorm ${part}`, new Float32Array(headDim)),
              tokens: rows,
              heads: part === 0 ? qHeads : kvHeads,
              dim: headDim,
            });
            labels.push(`dnorm ${part}`);
          });
        }
        const [qk, dqkv, dq, dk] = await bench.run(...labels);
        const forward = (at: ArrayLike<number>, qw = q, kw = k) =>
          reference.rope(at, positions, heads, 1000, normed ? { q: qw, k: kw, eps } : undefined);
        const name = `${qHeads}/${kvHeads} heads of ${headDim}${normed ? ', normed' : ''}`;
        cases.push({ name: `${name} qk`, error: relativeError(qk!, forward(qkv)), tolerance: FORWARD });
        const numeric = numericGradient((at) => dot(forward(at), dqk), qkv);
        cases.push({ name: `${name} dqkv`, error: relativeError(dqkv!, numeric), tolerance: BACKWARD });
        if (!normed) continue;
        const gq = numericGradient((w) => dot(forward(qkv, w), dqk), q);
        const gk = numericGradient((w) => dot(forward(qkv, q, w), dqk), k);
        cases.push({ name: `${name} dq_norm`, error: relativeError(dq!, gq), tolerance: BACKWARD });
        cases.push({ name: `${name} dk_norm`, error: relativeError(dk!, gk), tolerance: BACKWARD });
      }
    }
    return cases;
  },
};

const attentionCheck: Check = {
  name: 'attention over packed sequences',
  async run(gpu) {
    const cases: CheckCase[] = [];
    const lengths = [1, 9, 3, 70];
    const tokens = lengths.reduce((a, b) => a + b, 0);
    const begin = lengths.flatMap((length, s) =>
      new Array<number>(length).fill(lengths.slice(0, s).reduce((a, b) => a + b, 0)),
    );
    const end = lengths.flatMap((length, s) =>
      new Array<number>(length).fill(lengths.slice(0, s + 1).reduce((a, b) => a + b, 0)),
    );
    for (const heads of HEADS) {
      const { qHeads, kvHeads, headDim } = heads;
      const stored = (qHeads + 2 * kvHeads) * headDim;
      const rotated = (qHeads + kvHeads) * headDim;
      const qk = noise(tokens * rotated, 30, headDim);
      const qkv = noise(tokens * stored, 31, headDim);
      const dout = noise(tokens * qHeads * headDim, 32, headDim);
      const bench = new Bench(gpu);
      const common = {
        qk: bench.input('qk', qk),
        qkv: bench.input('qkv', qkv),
        sequenceBegin: bench.ids('begin', begin),
        out: bench.output('out', [tokens, qHeads * headDim]),
        lse: bench.output('lse', [tokens, qHeads]),
        tokens,
        pairs: () => 0,
        ...heads,
      };
      attention(bench.record, common);
      attentionBackward(bench.record, {
        ...common,
        sequenceEnd: bench.ids('end', end),
        dout: bench.input('dout', dout),
        dqk: bench.output('dqk', [tokens, rotated]),
        dqkv: bench.input('dqkv', new Float32Array(tokens * stored)),
        delta: bench.output('delta', [tokens, qHeads]),
      });
      const [out, dqk, dqkv] = await bench.run('out', 'dqk', 'dqkv');
      const name = `${qHeads}/${kvHeads} heads of ${headDim}`;
      const expected = reference.attention(qk, qkv, lengths, heads);
      cases.push({ name: `${name} out`, error: relativeError(out!, expected), tolerance: FORWARD });
      // Finite differences of every input would be slow: along random directions instead.
      for (let direction = 0; direction < 4; direction++) {
        const u = noise(qk.length, 33, headDim, direction);
        const v = noise(qkv.length, 34, headDim, direction).map((value, at) => (at % stored >= rotated ? value : 0));
        const along = (t: Float64Array) =>
          dot(
            reference.attention(
              qk.map((value, i) => value + t[0]! * u[i]!),
              qkv.map((value, i) => value + t[0]! * v[i]!),
              lengths,
              heads,
            ),
            dout,
          );
        const numeric = numericGradient(along, new Float64Array(1))[0]!;
        const ours = dot(dqk!, u) + dot(dqkv!, v);
        const scale = Math.sqrt(dot(dqk!, dqk!) + dot(dqkv!, dqkv!));
        cases.push({
          name: `${name} gradient along direction ${direction}`,
          error: Math.abs(ours - numeric) / scale,
          tolerance: 5e-5,
        });
      }
    }
    return cases;
  },
};

const swigluCheck: Check = {
  name: 'swiglu',
  async run(gpu) {
    const [rows, width] = [11, 37];
    const gateUp = noise(rows * 2 * width, 40);
    gateUp[0] = -100; // sigmoid underflows, nothing else may
    gateUp[1] = 100;
    const dact = noise(rows * width, 41);
    const bench = new Bench(gpu);
    const live = bench.live();
    const tensor = bench.input('gate up', gateUp);
    swiglu(bench.record, { gateUp: tensor, act: bench.output('act', [rows, width]), live, rows, width });
    swigluBackward(bench.record, { gateUp: tensor, dact: bench.input('dact', dact), live, rows, width });
    const [act, gradient] = await bench.run('act', 'gate up');
    const numeric = numericGradient((at) => dot(reference.swiglu(at, rows, width), dact), gateUp);
    return [
      { name: 'act', error: relativeError(act!, reference.swiglu(gateUp, rows, width)), tolerance: FORWARD },
      { name: 'gradient', error: relativeError(gradient!, numeric), tolerance: BACKWARD },
    ];
  },
};

const embeddingCheck: Check = {
  name: 'embedding and bias gradients',
  async run(gpu) {
    const [vocabulary, dim] = [13, 19];
    const ids = [3, 3, 0, 12, 3, 7, 0];
    const weight = noise(vocabulary * dim, 50);
    const dx = noise(ids.length * dim, 51);
    const start = noise(vocabulary * dim, 52);
    const grouped = groupRowsById(Uint32Array.from(ids), vocabulary);
    const bench = new Bench(gpu);
    const idTensor = bench.ids('ids', ids);
    const dxTensor = bench.input('dx', dx);
    embedding(bench.record, {
      ids: idTensor,
      weight: bench.input('weight', weight),
      out: bench.output('out', [ids.length, dim]),
      live: bench.live(),
      rows: ids.length,
      dim,
    });
    embeddingBackward(bench.record, {
      dx: dxTensor,
      distinctIds: bench.ids('distinct', grouped.ids),
      begin: bench.ids('begin', grouped.begin),
      order: bench.ids('order', grouped.order),
      gradient: bench.input('gradient', start),
      distinct: grouped.ids.length,
      dim,
    });
    biasGradient(bench.record, {
      dy: dxTensor,
      gradient: bench.input('bias', start.slice(0, dim)),
      rows: ids.length,
      columns: dim,
    });
    const [out, gradient, bias] = await bench.run('out', 'gradient', 'bias');
    const expected = Float64Array.from(start);
    const expectedBias = start.slice(0, dim);
    ids.forEach((id, row) => {
      for (let d = 0; d < dim; d++) {
        expected[id * dim + d]! += dx[row * dim + d]!;
        expectedBias[d]! += dx[row * dim + d]!;
      }
    });
    const gathered = ids.flatMap((id) => [...weight.slice(id * dim, (id + 1) * dim)]);
    return [
      { name: 'out', error: relativeError(out!, gathered), tolerance: 0 },
      { name: 'embedding gradient, added', error: relativeError(gradient!, expected), tolerance: FORWARD },
      { name: 'bias gradient, added', error: relativeError(bias!, expectedBias), tolerance: FORWARD },
    ];
  },
};

const logprobCheck: Check = {
  name: 'log-probability, entropy and the gradient to the logits',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const [rows, vocabulary, temperature] of [
      [1, 2, 1],
      [7, 56, 0.7],
      [5, 97, 1],
      [3, 1500, 1.5],
    ] as const) {
      const logits = noise(rows * vocabulary, 60, vocabulary).map((v) => 3 * v);
      const targets = Array.from({ length: rows }, (_, r) => (r * 31) % vocabulary);
      const weights = noise(rows * 2, 61, vocabulary);
      const bench = new Bench(gpu);
      const chunk = {
        logits: bench.input('logits', logits),
        targets: bench.ids('targets', targets),
        lse: bench.output('lse', [rows, 2]),
        entropy: bench.output('entropy', [rows]),
        rows,
        offset: 0,
        vocabulary,
        temperature,
      };
      logprob(bench.record, { ...chunk, logprob: bench.output('logprob', [rows]) });
      logitsBackward(bench.record, { ...chunk, dlogprob: bench.input('weights', weights) });
      const [values, entropy, gradient] = await bench.run('logprob', 'entropy', 'logits');
      const expected = reference.logprobs(logits, targets, vocabulary, temperature);
      // loss = sum of g logp - e H, whose derivative the kernel writes
      const loss = (at: Float64Array) => {
        const r = reference.logprobs(at, targets, vocabulary, temperature);
        return r.logprob.reduce((sum, v, i) => sum + weights[2 * i]! * v - weights[2 * i + 1]! * r.entropy[i]!, 0);
      };
      const name = `${rows}x${vocabulary} at ${temperature}`;
      cases.push({ name: `${name} logprob`, error: relativeError(values!, expected.logprob), tolerance: FORWARD });
      cases.push({ name: `${name} entropy`, error: relativeError(entropy!, expected.entropy), tolerance: FORWARD });
      cases.push({
        name: `${name} dlogits`,
        error: relativeError(gradient!, numericGradient(loss, logits)),
        tolerance: BACKWARD,
      });
    }
    return cases;
  },
};

export const kernelChecks: Check[] = [
  matmulCheck,
  matmulLiveCheck,
  rmsnormCheck,
  rmsnormGatherCheck,
  ropeCheck,
  attentionCheck,
  swigluCheck,
  embeddingCheck,
  logprobCheck,
  ...generationKernelChecks,
  dropoutCheck,
  ...trainingKernelChecks,
  ...storageKernelChecks,
];
