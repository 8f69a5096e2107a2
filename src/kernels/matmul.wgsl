// Matrix product C = op(A) op(B), f32, every layout that a linear layer and its backward need:
//   NT  C[m,n] = sum_k A[m,k] B[n,k]    y = x W^T          (forward; W as Hugging Face stores it)
//   NN  C[m,n] = sum_k A[m,k] B[k,n]    dx = dy W
//   TN  C[m,n] += sum_k A[k,m] B[k,n]   dW += dy^T x       (k runs over tokens)
// Operands, epilogues and their flags: matmul_operands.wgsl. Other kernels for the same products: matmul_variants.ts.
//
// One thread owns a 4x4 tile of C in registers, an 8x8 workgroup a 32x32 tile: per step of four k it reads 8 vec4 and
// does 64 multiply-adds. Rows and columns past the edge re-read the last one and are not written.
//
// Every element is summed over k in ascending order, one fma each, in one accumulator; in TN, where k can be long and C
// small, in one for each BLOCK of k, and the blocks' sums are added in ascending order. An element's bits do not depend on
// the number of rows, on the tile it falls into, on VEC, or on which of the kernels did it. That is what makes a row's
// logits the same alone and in a batch, and a run the same whatever a tuner chose.
//
// Limits: m and n up to 32 x 65535.

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
  for (var begin = 0u; begin < params.k; begin += BLOCK) {
    let end = min(begin + BLOCK, params.k);
    var block0 = vec4f();
    var block1 = vec4f();
    var block2 = vec4f();
    var block3 = vec4f();
    for (var k = begin; k < end; k++) {
      let x = load_a(k, m, params.m);
      let y = load_b(k, n, params.n);
      block0 = fma(vec4f(x.x), y, block0);
      block1 = fma(vec4f(x.y), y, block1);
      block2 = fma(vec4f(x.z), y, block2);
      block3 = fma(vec4f(x.w), y, block3);
    }
    sum0 += block0;
    sum1 += block1;
    sum2 += block2;
    sum3 += block3;
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
  let height = min(4u, rows - m);
  for (var i = 0u; i < height; i += step()) {
    let sum = select(select(sum3, sum2, i == 2u), select(sum1, sum0, i == 0u), i < 2u);
    store(m + i, n, sum);
  }
}
