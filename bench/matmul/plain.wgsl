// What anybody would write first who knows how: C = op(A) op(B) in f32, an 8x8 workgroup for a 32x32 tile of C, a 4x4 tile in
// every thread's registers, vec4 loads from global memory, no workgroup memory. The measure of what a tuned kernel adds.
//
// NT C[m,n] = A[m,k] B[n,k]^T; NN C[m,n] = A[m,k] B[k,n]; TN C[m,n] += A[k,m]^T B[k,n].
// Limits: m and n multiples of 32, k of 4.

struct Params {
  m: u32,
  n: u32,
  k: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // [m, n]

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * 4u;
  let column = id.x; // of vec4
  let n = params.n / 4u;
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
#if TN
  let m = params.m / 4u;
  for (var t = 0u; t < params.k; t++) {
    let v = a[t * m + id.y];
    let w = b[t * n + column];
    sum0 = fma(vec4f(v.x), w, sum0);
    sum1 = fma(vec4f(v.y), w, sum1);
    sum2 = fma(vec4f(v.z), w, sum2);
    sum3 = fma(vec4f(v.w), w, sum3);
  }
#else
  let k = params.k / 4u;
  for (var t = 0u; t < k; t++) {
#if NT
    let w0 = b[(4u * column + 0u) * k + t];
    let w1 = b[(4u * column + 1u) * k + t];
    let w2 = b[(4u * column + 2u) * k + t];
    let w3 = b[(4u * column + 3u) * k + t];
    let b0 = vec4f(w0.x, w1.x, w2.x, w3.x);
    let b1 = vec4f(w0.y, w1.y, w2.y, w3.y);
    let b2 = vec4f(w0.z, w1.z, w2.z, w3.z);
    let b3 = vec4f(w0.w, w1.w, w2.w, w3.w);
#else
    let b0 = b[(4u * t + 0u) * n + column];
    let b1 = b[(4u * t + 1u) * n + column];
    let b2 = b[(4u * t + 2u) * n + column];
    let b3 = b[(4u * t + 3u) * n + column];
#endif
    let a0 = a[(row + 0u) * k + t];
    let a1 = a[(row + 1u) * k + t];
    let a2 = a[(row + 2u) * k + t];
    let a3 = a[(row + 3u) * k + t];
    sum0 = fma(vec4f(a0.w), b3, fma(vec4f(a0.z), b2, fma(vec4f(a0.y), b1, fma(vec4f(a0.x), b0, sum0))));
    sum1 = fma(vec4f(a1.w), b3, fma(vec4f(a1.z), b2, fma(vec4f(a1.y), b1, fma(vec4f(a1.x), b0, sum1))));
    sum2 = fma(vec4f(a2.w), b3, fma(vec4f(a2.z), b2, fma(vec4f(a2.y), b1, fma(vec4f(a2.x), b0, sum2))));
    sum3 = fma(vec4f(a3.w), b3, fma(vec4f(a3.z), b2, fma(vec4f(a3.y), b1, fma(vec4f(a3.x), b0, sum3))));
  }
#endif
  let at = row * n + column;
#if TN
  c[at] += sum0;
  c[at + n] += sum1;
  c[at + 2u * n] += sum2;
  c[at + 3u * n] += sum3;
#else
  c[at] = sum0;
  c[at + n] = sum1;
  c[at + 2u * n] = sum2;
  c[at + 3u * n] = sum3;
#endif
}
