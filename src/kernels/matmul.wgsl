// Matrix product C = op(A) op(B), f32, every layout that a linear layer and its backward need:
//   NT  C[m,n] = sum_k A[m,k] B[n,k]    y = x W^T          (forward; W as Hugging Face stores it)
//   NN  C[m,n] = sum_k A[m,k] B[k,n]    dx = dy W
//   TN  C[m,n] += sum_k A[k,m] B[k,n]   dW += dy^T x       (k runs over tokens)
// Epilogues of NT: + bias[n], + residual[m,n].
//
// One thread owns a 4x4 tile of C in registers, an 8x8 workgroup a 32x32 tile: per step of four k it reads 8 vec4 and
// does 64 multiply-adds. Rows and columns past the edge re-read the last one and are not written.
//
// Every element is summed over k in ascending order, one fma each, in one accumulator: its bits do not depend on the
// number of rows, on the tile it falls into, or on VEC. That is what makes a row's logits the same alone and in a batch.
//
// Variants, all with the same order of sums:
// VEC: rows of A and of B begin at multiples of 4 elements; otherwise elements are read one by one.
// BF16, F16, Q8: how B is stored (see tensor.ts); it is widened exactly as it is read, so that B's bits are all that counts.
// STRIDED: A, B and C are parts of wider matrices: params say where.
// ACC (NN): the sums go on from what is in C, as if its terms had come first.
// SCALE: C = scale op(A) op(B).
// LORA: the sums go on over a low-rank product, W' = W + up down (Hu et al. 2021, arXiv:2106.09685), never made as a matrix:
//   NT  C[m,n] += sum_r T[m, part(n) R + r] up[n,r]     T = scale x down^T, parts of a fused W have ranks of their own
//   NN  C[m,n] += sum_r T[m,r] up[r,n]                  T = scale dy up^T; `up` is here the adapter's down matrix
// Limits: m and n up to 32 x 65535.

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

#if BF16
fn b_pair(word: u32) -> vec2f { return vec2f(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u)); }
#endif
#if F16
fn b_pair(word: u32) -> vec2f { return unpack2x16float(word); }
#endif
#if HALF
fn b_one(at: u32) -> f32 {
  let pair = b_pair(b[at / 2u]);
  return select(pair.x, pair.y, (at & 1u) == 1u);
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
#if HALF
  var v = vec4f(b_one(at), 0, 0, 0);
  if (column + 1u < width) { v.y = b_one(at + 1u); }
  if (column + 2u < width) { v.z = b_one(at + 2u); }
  if (column + 3u < width) { v.w = b_one(at + 3u); }
  return v;
#else
  var v = vec4f(b[at], 0, 0, 0);
  if (column + 1u < width) { v.y = b[at + 1u]; }
  if (column + 2u < width) { v.z = b[at + 2u]; }
  if (column + 3u < width) { v.w = b[at + 3u]; }
  return v;
#endif
#endif
#endif
}

#if LORA
// What row `row` and columns `column` to `column + 3` get of the low-rank product, added to their sums.
fn low_rank(row: u32, column: u32, sum: vec4f) -> vec4f {
  var total = sum;
  let base = row * params.t_stride;
#if NT
  let columns = min(vec4u(column) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
  let part = select(vec4u(0u), vec4u(1u), columns >= vec4u(params.end0)) +
             select(vec4u(0u), vec4u(1u), columns >= vec4u(params.end1));
  let from_t = vec4u(base) + part * params.rank;
  let from_up = columns * params.rank;
  for (var r = 0u; r < params.rank; r++) {
    let x = vec4f(t[from_t.x + r], t[from_t.y + r], t[from_t.z + r], t[from_t.w + r]);
    let y = vec4f(up[from_up.x + r], up[from_up.y + r], up[from_up.z + r], up[from_up.w + r]);
    total = fma(x, y, total);
  }
#else
  let columns = min(vec4u(column) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
  for (var r = 0u; r < params.rank; r++) {
    let at = r * params.n;
    total = fma(vec4f(t[base + r]), vec4f(up[at + columns.x], up[at + columns.y], up[at + columns.z], up[at + columns.w]), total);
  }
#endif
  return total;
}
#endif

fn store(row: u32, column: u32, rows: u32, given: vec4f) {
  if (row >= rows) { return; }
  var sum = given;
#if LORA
  sum = low_rank(row, column, sum);
#endif
#if SCALE
  sum *= params.scale;
#endif
  for (var j = 0u; j < 4u; j++) {
    let n = column + j;
    if (n < params.n) {
      let at = c_at(row, n);
      var value = sum[j];
#if BIAS
      value += bias[n];
#endif
#if RESIDUAL
      value += residual[row * params.n + n];
#endif
#if TN
      value += c[at];
#endif
      c[at] = value;
    }
  }
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

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var rows = params.m;
#if NT
  rows = min(rows, live[0]);
#endif
  let m = id.y * 4u;
  let n = id.x * 4u;
  if (m >= rows || n >= params.n) { return; }
#if ACC
  var sum0 = current(m, n, rows);
  var sum1 = current(m + 1u, n, rows);
  var sum2 = current(m + 2u, n, rows);
  var sum3 = current(m + 3u, n, rows);
#else
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
#endif

#if TN
  for (var k = 0u; k < params.k; k++) {
    let x = load_a(k, m, params.m);
    let y = load_b(k, n, params.n);
    sum0 = fma(vec4f(x.x), y, sum0);
    sum1 = fma(vec4f(x.y), y, sum1);
    sum2 = fma(vec4f(x.z), y, sum2);
    sum3 = fma(vec4f(x.w), y, sum3);
  }
#else
  let m1 = min(m + 1u, rows - 1u);
  let m2 = min(m + 2u, rows - 1u);
  let m3 = min(m + 3u, rows - 1u);
#if NT
  let n1 = min(n + 1u, params.n - 1u);
  let n2 = min(n + 2u, params.n - 1u);
  let n3 = min(n + 3u, params.n - 1u);
#endif
  for (var k = 0u; k < params.k; k += 4u) {
    let x0 = load_a(m, k, params.k);
    let x1 = load_a(m1, k, params.k);
    let x2 = load_a(m2, k, params.k);
    let x3 = load_a(m3, k, params.k);
#if NT
    let w0 = load_b(n, k, params.k);
    let w1 = load_b(n1, k, params.k);
    let w2 = load_b(n2, k, params.k);
    let w3 = load_b(n3, k, params.k);
    let y0 = vec4f(w0.x, w1.x, w2.x, w3.x);
    let y1 = vec4f(w0.y, w1.y, w2.y, w3.y);
    let y2 = vec4f(w0.z, w1.z, w2.z, w3.z);
    let y3 = vec4f(w0.w, w1.w, w2.w, w3.w);
#else
    // Where k is not a multiple of 4, the rows past it are zero as the columns of A are: 0 x NaN must not arise.
    let y0 = load_b(k, n, params.n);
    var y1 = vec4f();
    var y2 = vec4f();
    var y3 = vec4f();
    if (k + 1u < params.k) { y1 = load_b(k + 1u, n, params.n); }
    if (k + 2u < params.k) { y2 = load_b(k + 2u, n, params.n); }
    if (k + 3u < params.k) { y3 = load_b(k + 3u, n, params.n); }
#endif
    sum0 = fma(vec4f(x0.w), y3, fma(vec4f(x0.z), y2, fma(vec4f(x0.y), y1, fma(vec4f(x0.x), y0, sum0))));
    sum1 = fma(vec4f(x1.w), y3, fma(vec4f(x1.z), y2, fma(vec4f(x1.y), y1, fma(vec4f(x1.x), y0, sum1))));
    sum2 = fma(vec4f(x2.w), y3, fma(vec4f(x2.z), y2, fma(vec4f(x2.y), y1, fma(vec4f(x2.x), y0, sum2))));
    sum3 = fma(vec4f(x3.w), y3, fma(vec4f(x3.z), y2, fma(vec4f(x3.y), y1, fma(vec4f(x3.x), y0, sum3))));
  }
#endif
  store(m, n, rows, sum0);
  store(m + 1u, n, rows, sum1);
  store(m + 2u, n, rows, sum2);
  store(m + 3u, n, rows, sum3);
}
