// What the kernels of a matrix product C = op(A) op(B) share: parameters, bindings, loads and what is done to a sum before
// it is written. matmul.wgsl says which products there are and in which order they are summed.
//
// Flags, the same in every kernel:
// NT, NN, TN: which operand lies how.
// VEC: rows of A and of B begin at multiples of 4 elements; otherwise elements are read one by one.
// BF16, F16, Q8: how B is stored (see tensor.ts); it is widened exactly as it is read, so that B's bits are all that counts.
// STRIDED: A, B and C are parts of wider matrices: params say where.
// ACC (NN): the sums go on from what is in C, as if its terms had come first.
// SCALE: C = scale op(A) op(B).
// LORA: the sums go on over a low-rank product, W' = W + up down (Hu et al. 2021, arXiv:2106.09685), never made as a matrix:
//   NT  C[m,n] += sum_r T[m, part(n) R + r] up[n,r]     T = scale x down^T, parts of a fused W have ranks of their own
//   NN  C[m,n] += sum_r T[m,r] up[r,n]                  T = scale dy up^T; `up` is here the adapter's down matrix
// BIAS, RESIDUAL (NT): + bias[n], + residual[m,n].

struct Params {
  m: u32, // rows of C, at most; NT computes min(m, live[0])
  n: u32,
  k: u32,
#if STRIDED
  a_stride: u32, // elements from row to row
  a_column: u32, // first column
  b_stride: u32,
  b_column: u32,
  b_row: u32,
  c_stride: u32,
  c_column: u32,
  c_row: u32,
#endif
#if SCALE
  scale: f32,
#endif
#if LORA
  rank: u32, // R
  t_stride: u32, // elements of a row of T
  end0: u32, // NT: columns from here on belong to the second part of W
  end1: u32, // NT: columns from here on belong to the third
#endif
}

@group(0) @binding(0) var<uniform> params: Params;
#if VEC
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
#else
@group(0) @binding(1) var<storage, read> a: array<f32>;
#endif
#if WIDE
#if VEC
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
#else
@group(0) @binding(2) var<storage, read> b: array<f32>;
#endif
#else
@group(0) @binding(2) var<storage, read> b: array<u32>;
#endif
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
#if NT
@group(0) @binding(4) var<storage, read> live: array<u32>; // number of rows that count, set by host or GPU
#endif
#if BIAS
@group(0) @binding(5) var<storage, read> bias: array<f32>; // [n]
#endif
#if RESIDUAL
@group(0) @binding(6) var<storage, read> residual: array<f32>; // [m, n]
#endif
#if LORA
@group(0) @binding(7) var<storage, read> t: array<f32>; // [m, t_stride]
@group(0) @binding(8) var<storage, read> up: array<f32>; // NT [n, rank], NN [rank, n]
#endif

#if STRIDED
fn a_at(row: u32, column: u32, width: u32) -> u32 { return row * params.a_stride + params.a_column + column; }
fn b_at(row: u32, column: u32, width: u32) -> u32 {
  return (row + params.b_row) * params.b_stride + params.b_column + column;
}
fn c_at(row: u32, column: u32) -> u32 {
  return (row + params.c_row) * params.c_stride + params.c_column + column;
}
#else
fn a_at(row: u32, column: u32, width: u32) -> u32 { return row * width + column; }
fn b_at(row: u32, column: u32, width: u32) -> u32 { return row * width + column; }
fn c_at(row: u32, column: u32) -> u32 { return row * params.n + column; }
#endif

// Four neighbours in row `row` of A, whose rows have `width` elements, starting at column `column`.
fn load_a(row: u32, column: u32, width: u32) -> vec4f {
  let at = a_at(row, column, width);
#if VEC
  return a[at / 4u];
#else
  var v = vec4f(a[at], 0, 0, 0);
  if (column + 1u < width) { v.y = a[at + 1u]; }
  if (column + 2u < width) { v.z = a[at + 2u]; }
  if (column + 3u < width) { v.w = a[at + 3u]; }
  return v;
#endif
}

// One element of A.
fn load_a_one(row: u32, column: u32, width: u32) -> f32 {
  let at = a_at(row, column, width);
#if VEC
  return a[at / 4u][at % 4u];
#else
  return a[at];
#endif
}

#if BF16
fn b_pair(word: u32) -> vec2f { return vec2f(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u)); }
#endif
#if F16
fn b_pair(word: u32) -> vec2f { return unpack2x16float(word); }
#endif
#if Q8
#else
fn b_one(at: u32) -> f32 {
#if HALF
  let pair = b_pair(b[at / 2u]);
  return select(pair.x, pair.y, (at & 1u) == 1u);
#else
#if VEC
  return b[at / 4u][at % 4u];
#else
  return b[at];
#endif
#endif
}
#endif

fn load_b(row: u32, column: u32, width: u32) -> vec4f {
#if Q8
  // Rows are whole blocks: one scale, eight words of four signed bytes. The last block of a row is filled up with zeros.
  let block = (row * ((width + 31u) / 32u) + column / 32u) * 9u;
  let word = bitcast<i32>(b[block + 1u + (column % 32u) / 4u]);
  let bytes = vec4i(word << 24u, word << 16u, word << 8u, word) >> vec4u(24u);
  return bitcast<f32>(b[block]) * vec4f(bytes);
#else
  let at = b_at(row, column, width);
#if VEC
#if HALF
  return vec4f(b_pair(b[at / 2u]), b_pair(b[at / 2u + 1u]));
#else
  return b[at / 4u];
#endif
#else
  var v = vec4f(b_one(at), 0, 0, 0);
  if (column + 1u < width) { v.y = b_one(at + 1u); }
  if (column + 2u < width) { v.z = b_one(at + 2u); }
  if (column + 3u < width) { v.w = b_one(at + 3u); }
  return v;
#endif
#endif
}

#if LORA
// The sum of element (row, column), gone on with over the low-rank product.
fn low_rank(row: u32, column: u32, sum: f32) -> f32 {
  var total = sum;
#if NT
  let part = u32(column >= params.end0) + u32(column >= params.end1);
  let from_t = row * params.t_stride + part * params.rank;
  let from_up = column * params.rank;
  for (var r = 0u; r < params.rank; r++) { total = fma(t[from_t + r], up[from_up + r], total); }
#else
  let from_t = row * params.t_stride;
  for (var r = 0u; r < params.rank; r++) { total = fma(t[from_t + r], up[r * params.n + column], total); }
#endif
  return total;
}
#endif

// Writes an element, given its sum over k. Row and column lie in C.
fn store_one(row: u32, column: u32, sum: f32) {
  let at = c_at(row, column);
  var value = sum;
#if LORA
  value = low_rank(row, column, value);
#endif
#if SCALE
  value *= params.scale;
#endif
#if BIAS
  value += bias[column];
#endif
#if RESIDUAL
  value += residual[row * params.n + column];
#endif
#if TN
  value += c[at];
#endif
  c[at] = value;
}

// TN sums over blocks of so many k, each by itself, and adds the blocks up: kernels may compute them side by side.
const BLOCK = 128u;

// 1, but no compiler can know: a loop in these steps is not unrolled. What is done to each element is long code; software
// adapters take seconds to compile it sixteen times.
fn step() -> u32 { return 1u + (params.k >> 31u); }

// Element j, without an index that would force the vector out of registers.
fn element(v: vec4f, j: u32) -> f32 { return select(select(v.w, v.z, j == 2u), select(v.y, v.x, j == 0u), j < 2u); }

// Writes four neighbours of a row, as far as they lie in C.
fn store(row: u32, column: u32, sum: vec4f) {
  if (column >= params.n) { return; }
  let count = min(4u, params.n - column);
  for (var j = 0u; j < count; j += step()) { store_one(row, column + j, element(sum, j)); }
}

#if ACC
fn current(row: u32, column: u32, rows: u32) -> vec4f {
  var sum = vec4f();
  for (var j = 0u; j < 4u; j++) {
    if (row < rows && column + j < params.n) { sum[j] = c[c_at(row, column + j)]; }
  }
  return sum;
}
#endif
