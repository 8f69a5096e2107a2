// Attention of new tokens over the paged key-value cache: generation's prefill and decode alike. A row is one new token
// of one sequence slot; its own key and value are in the cache already (rope.wgsl put them there), as are those of the
// tokens before it. A row attends to positions 0 up to its own of its slot.
//
// One workgroup of 64 per (row, query head). Keys go by blocks of 64: each lane scores one key, then every lane owns
// some of the output's dimensions and adds up the block's values in order. The order depends on the row's position
// alone, so a row's bits are the same alone, in any batch and in any slot.

struct Params {
  rows: u32,
  q_heads: u32,
  kv_heads: u32,
  pages_per_slot: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> live: array<u32>;
@group(0) @binding(2) var<storage, read> q: array<f32>; // [rows, Q HEAD_DIM], rotated
#if HALF_CACHE
@group(0) @binding(3) var<storage, read> cache: array<u32>; // [pages, 2, PAGE, K HEAD_DIM], two to a word
#else
@group(0) @binding(3) var<storage, read> cache: array<f32>; // [pages, 2, PAGE, K HEAD_DIM]
#endif
@group(0) @binding(4) var<storage, read> row_place: array<vec2u>; // [rows] (slot, position)
@group(0) @binding(5) var<storage, read> page_table: array<u32>; // [slots, pages_per_slot]
@group(0) @binding(6) var<storage, read_write> out: array<f32>; // [rows, Q HEAD_DIM]

fn cached(at: u32) -> f32 {
#if HALF_CACHE
  let pair = unpack2x16float(cache[at / 2u]);
  return select(pair.x, pair.y, (at & 1u) == 1u);
#else
  return cache[at];
#endif
}

const BLOCK = 64u;
const OWNED = (HEAD_DIM + BLOCK - 1u) / BLOCK; // dimensions per lane
var<workgroup> scores: array<f32, BLOCK>;
var<workgroup> places: array<u32, BLOCK>; // where each key of the block begins in the cache
var<workgroup> key_count: u32; // 0: the row does not count

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let row = group.x;
  let head = group.y;
  if (lane == 0u) { key_count = select(0u, row_place[row].y + 1u, row < min(params.rows, live[0])); }
  let keys = workgroupUniformLoad(&key_count);
  if (keys == 0u) { return; }
  let kv_head = head * params.kv_heads / params.q_heads;
  let kv_width = params.kv_heads * HEAD_DIM;
  let q_at = (row * params.q_heads + head) * HEAD_DIM;
  let table = row_place[row].x * params.pages_per_slot;

  var sum: array<f32, OWNED>;
  var largest = -3e38f;
  var total = 0f;
  for (var block = 0u; block * BLOCK < keys; block++) {
    let key = block * BLOCK + lane;
    var score = -3e38f;
    if (key < keys) {
      let page = page_table[table + key / PAGE];
      let at = (page * 2u * PAGE + key % PAGE) * kv_width + kv_head * HEAD_DIM;
      score = 0f;
      for (var i = 0u; i < HEAD_DIM; i++) { score = fma(q[q_at + i], cached(at + i), score); }
      score *= params.scale;
      places[lane] = at + PAGE * kv_width;
    }
    scores[lane] = score;
    workgroupBarrier();
    let count = min(BLOCK, keys - block * BLOCK);
    var next = largest;
    for (var i = 0u; i < count; i++) { next = max(next, scores[i]); }
    let shrink = exp(largest - next);
    workgroupBarrier();
    scores[lane] = exp(score - next);
    workgroupBarrier();
    total *= shrink;
    for (var i = 0u; i < count; i++) { total += scores[i]; }
    for (var d = 0u; d < OWNED; d++) {
      let dim = d * BLOCK + lane;
      if (dim < HEAD_DIM) {
        sum[d] *= shrink;
        for (var i = 0u; i < count; i++) { sum[d] = fma(scores[i], cached(places[i] + dim), sum[d]); }
      }
    }
    workgroupBarrier();
    largest = next;
  }
  for (var d = 0u; d < OWNED; d++) {
    let dim = d * BLOCK + lane;
    if (dim < HEAD_DIM) { out[q_at + dim] = sum[d] / total; }
  }
}
