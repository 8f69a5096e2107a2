/** @file Every operation's forward pass in plain float64: slow, obvious, and written without looking at the kernels. */

/** out[m,n] = sum_k a(m,k) b(k,n) */
export function matmul(
  m: number,
  n: number,
  k: number,
  a: (row: number, inner: number) => number,
  b: (inner: number, column: number) => number,
): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a(i, l) * b(l, j);
      out[i * n + j] = sum;
    }
  }
  return out;
}

export function rmsnorm(x: ArrayLike<number>, weight: ArrayLike<number>, dim: number, eps: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += dim) {
    let square = 0;
    for (let i = 0; i < dim; i++) square += x[at + i]! ** 2;
    const scale = 1 / Math.sqrt(square / dim + eps);
    for (let i = 0; i < dim; i++) out[at + i] = x[at + i]! * scale * weight[i]!;
  }
  return out;
}

export interface AttentionShape {
  qHeads: number;
  kvHeads: number;
  headDim: number;
}

/** Rotates the q and k heads of packed qkv rows; v is left out. Optional per-head RMSNorm before. */
export function rope(
  qkv: ArrayLike<number>,
  positions: readonly number[],
  { qHeads, kvHeads, headDim }: AttentionShape,
  theta: number,
  norms?: { q: ArrayLike<number>; k: ArrayLike<number>; eps: number },
): Float64Array {
  const stored = (qHeads + 2 * kvHeads) * headDim;
  const rotated = (qHeads + kvHeads) * headDim;
  const half = headDim / 2;
  const out = new Float64Array(positions.length * rotated);
  positions.forEach((position, row) => {
    for (let head = 0; head < qHeads + kvHeads; head++) {
      let v = Array.from({ length: headDim }, (_, i) => qkv[row * stored + head * headDim + i]!);
      if (norms) v = [...rmsnorm(v, head < qHeads ? norms.q : norms.k, headDim, norms.eps)];
      for (let i = 0; i < half; i++) {
        const angle = position * theta ** ((-2 * i) / headDim);
        const at = row * rotated + head * headDim + i;
        out[at] = v[i]! * Math.cos(angle) - v[i + half]! * Math.sin(angle);
        out[at + half] = v[i + half]! * Math.cos(angle) + v[i]! * Math.sin(angle);
      }
    }
  });
  return out;
}

/** Causal attention within sequences of the given lengths; q and k from `qk`, v from the end of `qkv` rows. */
export function attention(
  qk: ArrayLike<number>,
  qkv: ArrayLike<number>,
  lengths: readonly number[],
  { qHeads, kvHeads, headDim }: AttentionShape,
): Float64Array {
  const tokens = lengths.reduce((a, b) => a + b, 0);
  const rotated = (qHeads + kvHeads) * headDim;
  const stored = (qHeads + 2 * kvHeads) * headDim;
  const out = new Float64Array(tokens * qHeads * headDim);
  let begin = 0;
  for (const length of lengths) {
    for (let t = begin; t < begin + length; t++) {
      for (let head = 0; head < qHeads; head++) {
        const kvHead = Math.floor((head * kvHeads) / qHeads);
        const scores: number[] = [];
        for (let j = begin; j <= t; j++) {
          let score = 0;
          for (let i = 0; i < headDim; i++) {
            score += qk[t * rotated + head * headDim + i]! * qk[j * rotated + (qHeads + kvHead) * headDim + i]!;
          }
          scores.push(score / Math.sqrt(headDim));
        }
        const weights = softmax(scores);
        for (let i = 0; i < headDim; i++) {
          out[(t * qHeads + head) * headDim + i] = weights.reduce(
            (sum, p, j) => sum + p * qkv[(begin + j) * stored + (qHeads + kvHeads + kvHead) * headDim + i]!,
            0,
          );
        }
      }
    }
    begin += length;
  }
  return out;
}

export function softmax(values: ArrayLike<number>): number[] {
  const list = Array.from(values);
  const largest = Math.max(...list);
  const powers = list.map((value) => Math.exp(value - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

export function swiglu(gateUp: ArrayLike<number>, rows: number, width: number): Float64Array {
  return Float64Array.from({ length: rows * width }, (_, at) => {
    const row = Math.floor(at / width);
    const g = gateUp[row * 2 * width + (at % width)]!;
    return (g / (1 + Math.exp(-g))) * gateUp[row * 2 * width + width + (at % width)]!;
  });
}

/** Log-probability of the target and entropy, per row, at a temperature. */
export function logprobs(
  logits: ArrayLike<number>,
  targets: readonly number[],
  vocabulary: number,
  temperature: number,
): { logprob: number[]; entropy: number[] } {
  const logprob: number[] = [];
  const entropy: number[] = [];
  targets.forEach((target, row) => {
    const scaled = Array.from({ length: vocabulary }, (_, v) => logits[row * vocabulary + v]! / temperature);
    const p = softmax(scaled);
    logprob.push(Math.log(p[target]!));
    entropy.push(-p.reduce((sum, value) => sum + (value > 0 ? value * Math.log(value) : 0), 0));
  });
  return { logprob, entropy };
}

/** What restricts a distribution before it is drawn from. */
export interface Filters {
  /** 0 = greedy. */
  temperature: number;
  /** 0 = off. */
  topK: number;
  /** 1 = off. */
  topP: number;
  /** 0 = off. */
  minP: number;
}

/**
 * Probabilities after temperature, top-k, top-p and min-p in this order, each on the renormalised rest. Top-p keeps the
 * smallest set with mass >= p; of equal logits the lower index is kept first.
 */
export function filteredProbabilities(logits: ArrayLike<number>, { temperature, topK, topP, minP }: Filters): number[] {
  const tokens = Array.from(logits, (z, token) => ({ token, z })).sort((a, b) => b.z - a.z || a.token - b.token);
  let kept = temperature === 0 ? tokens.slice(0, 1) : tokens;
  if (topK > 0) kept = kept.slice(0, topK);
  const probabilities = () => softmax(kept.map(({ z }) => z / (temperature || 1)));
  if (topP < 1) {
    let mass = 0;
    const last = probabilities().findIndex((p) => (mass += p) >= topP);
    if (last >= 0) kept = kept.slice(0, last + 1);
  }
  const p = probabilities();
  const survivors = p.filter((value) => value >= minP * p[0]!);
  const total = survivors.reduce((a, b) => a + b, 0);
  const result = new Array<number>(logits.length).fill(0);
  survivors.forEach((value, i) => (result[kept[i]!.token] = value / total));
  return result;
}
