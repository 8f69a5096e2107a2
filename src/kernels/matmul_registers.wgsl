// matmul.wgsl with a larger tile per thread: ROWS x 4 QUADS elements of C in registers, WIDTH x HEIGHT threads. Per step of
// four k it reads ROWS + 4 QUADS vec4 and does 16 ROWS QUADS multiply-adds: fewer reads for each, more registers.
//
// The sums are those of matmul.wgsl, bit for bit. ROWS is a multiple of 4.
// Limits: m up to 65535 HEIGHT ROWS, n up to 65535 WIDTH 4 QUADS.

@compute @workgroup_size(WIDTH, HEIGHT)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var rows = params.m;
#if NT
  rows = min(rows, live[0]);
#endif
  let m = id.y * ROWS;
  let n = id.x * (4u * QUADS);
  if (m >= rows || n >= params.n) { return; }
  let last_quad = (params.n - 1u) & ~3u;
  var sum: array<array<vec4f, QUADS>, ROWS>;
#if ACC
  for (var i = 0u; i < ROWS; i++) {
    for (var j = 0u; j < QUADS; j++) { sum[i][j] = current(m + i, n + 4u * j, rows); }
  }
#endif

#if TN
  for (var begin = 0u; begin < params.k; begin += BLOCK) {
    let end = min(begin + BLOCK, params.k);
    var block = array<array<vec4f, QUADS>, ROWS>(); // without a value some drivers do not clear it again
    for (var k = begin; k < end; k++) {
      var x: array<vec4f, ROWS / 4u>;
      for (var i = 0u; i < ROWS / 4u; i++) { x[i] = load_a(k, min(m + 4u * i, (params.m - 1u) & ~3u), params.m); }
      for (var j = 0u; j < QUADS; j++) {
        let y = load_b(k, min(n + 4u * j, last_quad), params.n);
        for (var i = 0u; i < ROWS; i++) { block[i][j] = fma(vec4f(x[i / 4u][i % 4u]), y, block[i][j]); }
      }
    }
    for (var i = 0u; i < ROWS; i++) {
      for (var j = 0u; j < QUADS; j++) { sum[i][j] += block[i][j]; }
    }
  }
#else
  for (var k = 0u; k < params.k; k += 4u) {
    var x: array<vec4f, ROWS>;
    for (var i = 0u; i < ROWS; i++) { x[i] = load_a(min(m + i, rows - 1u), k, params.k); }
    for (var j = 0u; j < QUADS; j++) {
#if NT
      let column = n + 4u * j;
      let w0 = load_b(min(column, params.n - 1u), k, params.k);
      let w1 = load_b(min(column + 1u, params.n - 1u), k, params.k);
      let w2 = load_b(min(column + 2u, params.n - 1u), k, params.k);
      let w3 = load_b(min(column + 3u, params.n - 1u), k, params.k);
      let y0 = vec4f(w0.x, w1.x, w2.x, w3.x);
      let y1 = vec4f(w0.y, w1.y, w2.y, w3.y);
      let y2 = vec4f(w0.z, w1.z, w2.z, w3.z);
      let y3 = vec4f(w0.w, w1.w, w2.w, w3.w);
#else
      let column = min(n + 4u * j, last_quad);
      let y0 = load_b(k, column, params.n);
      var y1 = vec4f();
      var y2 = vec4f();
      var y3 = vec4f();
      if (k + 1u < params.k) { y1 = load_b(k + 1u, column, params.n); }
      if (k + 2u < params.k) { y2 = load_b(k + 2u, column, params.n); }
      if (k + 3u < params.k) { y3 = load_b(k + 3u, column, params.n); }
#endif
      for (var i = 0u; i < ROWS; i++) {
        sum[i][j] = fma(vec4f(x[i].x), y0, sum[i][j]);
        sum[i][j] = fma(vec4f(x[i].y), y1, sum[i][j]);
        sum[i][j] = fma(vec4f(x[i].z), y2, sum[i][j]);
        sum[i][j] = fma(vec4f(x[i].w), y3, sum[i][j]);
      }
    }
  }
#endif

  let height = min(ROWS, rows - m);
  for (var e = 0u; e < QUADS * height; e += step()) {
    var quad = sum[0][0];
    for (var i = 0u; i < ROWS; i++) {
      for (var j = 0u; j < QUADS; j++) { quad = select(quad, sum[i][j], e == QUADS * i + j); }
    }
    store(m + e / QUADS, n + 4u * (e % QUADS), quad);
  }
}
