enable subgroups;
// matmul.wgsl by subgroups: a workgroup of WIDTH threads owns ROWS rows and 4 WIDTH columns of C, a thread four columns of
// all these rows. Its lanes read different k of the rows' A and hand them round by shuffles, so that an element of A is
// read once per workgroup and not once per thread; and one of B once.
//
// Software adapters run a subgroup as one vector and pay for every element that a lane reads for itself: there this is
// about twice as fast as the base kernel. Consecutive workgroups share columns (B) and go through the rows. Compiling takes
// them long, most of all loads and stores: the loops around these are kept as loops (`step`).
//
// SINGLE (NT, unpacked B): one k at a time and not four; less to compile, more to do where rows are few.
//
// Shuffles move data and add nothing: the sums are those of matmul.wgsl, bit for bit, whatever the size of a subgroup
// (it divides BLOCK; a multiple of 4, or WIDTH is). Limits: m up to 65535 ROWS, n up to 65535 x 4 WIDTH.

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32,
        @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) size: u32) {
  var rows = params.m;
#if NT
  rows = min(rows, live[0]);
#endif
  let m = group.x * ROWS;
  let n = (group.y * WIDTH + thread) * 4u;
  if (m >= rows) { return; }
  let lanes = min(size, WIDTH);
  let height = min(ROWS, rows - m);
#if NT
  let n0 = min(n, params.n - 1u);
  let n1 = min(n + 1u, params.n - 1u);
  let n2 = min(n + 2u, params.n - 1u);
  let n3 = min(n + 3u, params.n - 1u);
#else
  let quad = min(n, (params.n - 1u) & ~3u);
#endif
#if TN
  let ends = params.k;
#else
  let ends = (params.k + 3u) & ~3u; // as matmul.wgsl: zeros past k
#endif

  var sum: array<vec4f, ROWS>;
#if TN
  var total: array<vec4f, ROWS>; // of the blocks that are done
#endif
#if ACC
  for (var i = 0u; i < height; i += step()) { sum[i] = current(m + i, n, rows); }
#endif
  for (var begin = 0u; begin < ends; begin += lanes) {
    var mine = array<f32, ROWS>(); // A's elements at k = begin + lane
    if (begin + lane < params.k) {
      for (var i = 0u; i < height; i += step()) {
#if TN
        mine[i] = load_a_one(begin + lane, m + i, params.m);
#else
        mine[i] = load_a_one(m + i, begin + lane, params.k);
#endif
      }
    }
    let count = min(lanes, ends - begin);
#if NT
#if SINGLE
    for (var at = 0u; at < count; at++) {
      let k = begin + at;
      var y = vec4f();
      if (k < params.k) {
        y = vec4f(b_one(b_at(n0, k, params.k)), b_one(b_at(n1, k, params.k)),
                  b_one(b_at(n2, k, params.k)), b_one(b_at(n3, k, params.k)));
      }
      for (var i = 0u; i < ROWS; i++) { sum[i] = fma(vec4f(subgroupShuffle(mine[i], at)), y, sum[i]); }
    }
#else
    for (var at = 0u; at < count; at += 4u) {
      let w0 = load_b(n0, begin + at, params.k);
      let w1 = load_b(n1, begin + at, params.k);
      let w2 = load_b(n2, begin + at, params.k);
      let w3 = load_b(n3, begin + at, params.k);
      for (var i = 0u; i < ROWS; i++) {
        sum[i] = fma(vec4f(subgroupShuffle(mine[i], at)), vec4f(w0.x, w1.x, w2.x, w3.x), sum[i]);
        sum[i] = fma(vec4f(subgroupShuffle(mine[i], at + 1u)), vec4f(w0.y, w1.y, w2.y, w3.y), sum[i]);
        sum[i] = fma(vec4f(subgroupShuffle(mine[i], at + 2u)), vec4f(w0.z, w1.z, w2.z, w3.z), sum[i]);
        sum[i] = fma(vec4f(subgroupShuffle(mine[i], at + 3u)), vec4f(w0.w, w1.w, w2.w, w3.w), sum[i]);
      }
    }
#endif
#else
    for (var at = 0u; at < count; at++) {
      var y = vec4f();
      if (begin + at < params.k) { y = load_b(begin + at, quad, params.n); }
      for (var i = 0u; i < ROWS; i++) { sum[i] = fma(vec4f(subgroupShuffle(mine[i], at)), y, sum[i]); }
    }
#if TN
    if ((begin + lanes) % BLOCK == 0u || begin + lanes >= ends) {
      for (var i = 0u; i < ROWS; i++) {
        total[i] += sum[i];
        sum[i] = vec4f();
      }
    }
#endif
#endif
  }
#if TN
  sum = total;
#endif

  for (var e = 0u; e < 4u * height; e += step()) {
    if (n + e % 4u < params.n) { store_one(m + e / 4u, n + e % 4u, sum[e / 4u][e % 4u]); }
  }
}
