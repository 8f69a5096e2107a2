// matmul.wgsl through workgroup memory: WIDTH x HEIGHT threads, each with ROWS x 4 QUADS elements of C, first copy a tile of
// A and one of B, DEPTH deep in k, so that each element is read from memory once per tile of C and not once per thread.
//
// A thread's rows are HEIGHT apart and its columns WIDTH apart: neighbours read neighbouring words of a tile, and write
// neighbouring elements of C. Tiles lie k-major with one word of padding, which keeps banks apart when rows that are
// contiguous in k are turned.
//
// The sums are those of matmul.wgsl, bit for bit: a tile's k in ascending order, and none past the end (past k, rounded up
// to 4 in NT and NN as there). DEPTH is a multiple of 4 and divides BLOCK.
// Workgroup memory: 4 DEPTH (HEIGHT ROWS + WIDTH 4 QUADS + 2) bytes. Limits: m up to 65535 HEIGHT ROWS, n likewise.

const TILE_M = HEIGHT * ROWS;
const TILE_N = WIDTH * 4u * QUADS;
const THREADS = WIDTH * HEIGHT;
const STRIDE_A = TILE_M + 1u;
const STRIDE_B = TILE_N + 1u;

var<workgroup> tile_a: array<f32, DEPTH * STRIDE_A>;
var<workgroup> tile_b: array<f32, DEPTH * STRIDE_B>;

@compute @workgroup_size(WIDTH, HEIGHT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  var rows = params.m;
#if NT
  rows = min(rows, live[0]);
#endif
  let m0 = group.y * TILE_M;
  let n0 = group.x * TILE_N;
  if (m0 >= rows) { return; }
  let last_n = (params.n - 1u) & ~3u;
#if TN
  let ends = params.k;
#else
  let ends = (params.k + 3u) & ~3u;
#endif

  var sum: array<array<vec4f, QUADS>, ROWS>;
#if TN
  var total: array<array<vec4f, QUADS>, ROWS>; // of the blocks that are done
#endif
#if ACC
  for (var i = 0u; i < ROWS; i++) {
    for (var j = 0u; j < 4u * QUADS; j++) {
      let row = m0 + local.y + i * HEIGHT;
      let column = n0 + local.x + j * WIDTH;
      if (row < rows && column < params.n) { sum[i][j / 4u][j % 4u] = c[c_at(row, column)]; }
    }
  }
#endif
  for (var begin = 0u; begin < ends; begin += DEPTH) {
#if TN
    for (var at = thread; at < DEPTH * TILE_M / 4u; at += THREADS) {
      let k = at / (TILE_M / 4u);
      let row = at % (TILE_M / 4u) * 4u;
      var v = vec4f();
      if (begin + k < params.k) { v = load_a(begin + k, min(m0 + row, (params.m - 1u) & ~3u), params.m); }
      for (var j = 0u; j < 4u; j++) { tile_a[k * STRIDE_A + row + j] = v[j]; }
    }
#else
    for (var at = thread; at < DEPTH * TILE_M / 4u; at += THREADS) {
      let row = at / (DEPTH / 4u);
      let k = at % (DEPTH / 4u) * 4u;
      var v = vec4f();
      if (begin + k < params.k) { v = load_a(min(m0 + row, rows - 1u), begin + k, params.k); }
      for (var j = 0u; j < 4u; j++) { tile_a[(k + j) * STRIDE_A + row] = v[j]; }
    }
#endif
#if NT
    for (var at = thread; at < DEPTH * TILE_N / 4u; at += THREADS) {
      let column = at / (DEPTH / 4u);
      let k = at % (DEPTH / 4u) * 4u;
      var v = vec4f();
      if (begin + k < params.k) { v = load_b(min(n0 + column, params.n - 1u), begin + k, params.k); }
      for (var j = 0u; j < 4u; j++) { tile_b[(k + j) * STRIDE_B + column] = v[j]; }
    }
#else
    for (var at = thread; at < DEPTH * TILE_N / 4u; at += THREADS) {
      let k = at / (TILE_N / 4u);
      let column = at % (TILE_N / 4u) * 4u;
      var v = vec4f();
      if (begin + k < params.k) { v = load_b(begin + k, min(n0 + column, last_n), params.n); }
      for (var j = 0u; j < 4u; j++) { tile_b[k * STRIDE_B + column + j] = v[j]; }
    }
#endif
    workgroupBarrier();
    let count = min(DEPTH, ends - begin);
    for (var k = 0u; k < count; k++) {
      var x: array<f32, ROWS>;
      for (var i = 0u; i < ROWS; i++) { x[i] = tile_a[k * STRIDE_A + local.y + i * HEIGHT]; }
      for (var j = 0u; j < QUADS; j++) {
        let at = k * STRIDE_B + local.x + 4u * j * WIDTH;
        let y = vec4f(tile_b[at], tile_b[at + WIDTH], tile_b[at + 2u * WIDTH], tile_b[at + 3u * WIDTH]);
        for (var i = 0u; i < ROWS; i++) { sum[i][j] = fma(vec4f(x[i]), y, sum[i][j]); }
      }
    }
#if TN
    if ((begin + DEPTH) % BLOCK == 0u || begin + DEPTH >= ends) {
      for (var i = 0u; i < ROWS; i++) {
        for (var j = 0u; j < QUADS; j++) {
          total[i][j] += sum[i][j];
          sum[i][j] = vec4f();
        }
      }
    }
#endif
    workgroupBarrier();
  }
#if TN
  sum = total;
#endif

  for (var e = 0u; e < QUADS * ROWS; e += step()) {
    var quad = sum[0][0];
    for (var i = 0u; i < ROWS; i++) {
      for (var j = 0u; j < QUADS; j++) { quad = select(quad, sum[i][j], e == QUADS * i + j); }
    }
    let row = m0 + local.y + e / QUADS * HEIGHT;
    for (var j = 0u; j < 4u; j += step()) {
      let column = n0 + local.x + (4u * (e % QUADS) + j) * WIDTH;
      if (row < rows && column < params.n) { store_one(row, column, element(quad, j)); }
    }
  }
}
