// matmul.wgsl (TN) for a small C and a long k, such as the gradients of a small model's weights: k is split among GROUPS
// groups of WIDTH x HEIGHT threads, which share a tile of C. Each group computes the sums of one BLOCK, 4x4 elements a
// thread; then all threads add up the blocks of their own elements in ascending order, and the next GROUPS blocks follow.
//
// The sums are those of matmul.wgsl, bit for bit. GROUPS divides 16.
// Workgroup memory: 64 GROUPS WIDTH HEIGHT bytes. Limits: m up to 65535 x 4 HEIGHT, n up to 65535 x 4 WIDTH.

const TILE = WIDTH * HEIGHT; // threads of a group
const ELEMENTS = 16u * TILE; // of C in a workgroup's tile
const OWN = 16u / GROUPS; // elements that a thread adds up

var<workgroup> parts: array<f32, GROUPS * ELEMENTS>;

@compute @workgroup_size(WIDTH, HEIGHT, GROUPS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let m0 = group.y * 4u * HEIGHT;
  let n0 = group.x * 4u * WIDTH;
  let m = min(m0 + 4u * local.y, (params.m - 1u) & ~3u);
  let n = min(n0 + 4u * local.x, (params.n - 1u) & ~3u);
  let part = local.z * ELEMENTS + local.y * WIDTH + local.x;
  var total: array<f32, OWN>;
  let blocks = (params.k + BLOCK - 1u) / BLOCK;
  for (var first = 0u; first < blocks; first += GROUPS) {
    let begin = (first + local.z) * BLOCK;
    var sum = array<vec4f, 4>();
    for (var k = begin; k < min(begin + BLOCK, params.k); k++) {
      let x = load_a(k, m, params.m);
      let y = load_b(k, n, params.n);
      for (var i = 0u; i < 4u; i++) { sum[i] = fma(vec4f(x[i]), y, sum[i]); }
    }
    for (var e = 0u; e < 16u; e++) { parts[part + e * TILE] = sum[e / 4u][e % 4u]; }
    workgroupBarrier();
    let count = min(GROUPS, blocks - first);
    for (var i = 0u; i < OWN; i++) {
      for (var j = 0u; j < count; j++) { total[i] += parts[j * ELEMENTS + i * GROUPS * TILE + thread]; }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < OWN; i += step()) {
    let at = i * GROUPS * TILE + thread;
    let e = at / TILE; // of its owner's 4x4
    let row = m0 + at % TILE / WIDTH * 4u + e / 4u;
    let column = n0 + at % WIDTH * 4u + e % 4u;
    if (row < params.m && column < params.n) { store_one(row, column, total[i]); }
  }
}
