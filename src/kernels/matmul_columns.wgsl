// matmul.wgsl (NT) for a few rows: decode, where each weight is used once per row and reading W is all that takes time.
// A workgroup of 64 owns COLUMNS columns of C and 64 / COLUMNS rows. All of its threads read W's rows, DEPTH elements at a
// time, neighbours reading neighbouring vec4 however few rows of C there are; then each thread adds to its own element.
//
// The sums are those of matmul.wgsl, bit for bit. DEPTH is a multiple of 4.
// Workgroup memory: 4 (DEPTH + 4) (COLUMNS + 64 / COLUMNS) bytes. Limits: m up to 65535 x 64 / COLUMNS, n up to 65535 COLUMNS.

const ROWS = 64u / COLUMNS;
const QUADS = DEPTH / 4u;
const STRIDE = QUADS + 1u; // the odd one keeps banks apart

var<workgroup> tile_a: array<vec4f, ROWS * STRIDE>;
var<workgroup> tile_b: array<vec4f, COLUMNS * STRIDE>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let rows = min(params.m, live[0]);
  let m0 = group.y * ROWS;
  let n0 = group.x * COLUMNS;
  if (m0 >= rows) { return; }
  let row = thread / COLUMNS;
  let column = thread % COLUMNS;
  let here = min(ROWS, rows - m0); // rows of this workgroup that count
  var sum = 0f;
  for (var begin = 0u; begin < params.k; begin += DEPTH) {
    let quads = min(QUADS, (params.k - begin + 3u) / 4u);
    for (var at = thread; at < COLUMNS * QUADS; at += 64u) {
      let quad = at % QUADS;
      if (quad < quads) {
        tile_b[at / QUADS * STRIDE + quad] = load_b(min(n0 + at / QUADS, params.n - 1u), begin + 4u * quad, params.k);
      }
    }
    for (var at = thread; at < here * QUADS; at += 64u) {
      let quad = at % QUADS;
      if (quad < quads) { tile_a[at / QUADS * STRIDE + quad] = load_a(m0 + at / QUADS, begin + 4u * quad, params.k); }
    }
    workgroupBarrier();
    if (row < here) {
      for (var quad = 0u; quad < quads; quad++) {
        let x = tile_a[row * STRIDE + quad];
        let y = tile_b[column * STRIDE + quad];
        sum = fma(x.w, y.w, fma(x.z, y.z, fma(x.y, y.y, fma(x.x, y.x, sum))));
      }
    }
    workgroupBarrier();
  }
  if (row < here && n0 + column < params.n) { store_one(m0 + row, n0 + column, sum); }
}
