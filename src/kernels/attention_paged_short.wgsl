// attention_paged for short contexts: the same result from one thread per (row, query head), without barriers and in the
// arithmetic of the packed attention (attention.wgsl), which has one thread per token, too. With few keys per row a
// workgroup of its own for each row is mostly idle lanes and waiting.
//
// A head is N elements of type V: see head_vector.wgsl.

struct Params {
  rows: u32,
  q_heads: u32,
  kv_heads: u32,
  pages_per_slot: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> live: array<u32>;
@group(0) @binding(2) var<storage, read> q: array<V>; // [rows, Q, HEAD_DIM], rotated
#if HALF_CACHE
@group(0) @binding(3) var<storage, read> cache: array<u32>; // [pages, 2, PAGE, K, HEAD_DIM], two to a word
#else
@group(0) @binding(3) var<storage, read> cache: array<V>; // [pages, 2, PAGE, K, HEAD_DIM]
#endif
@group(0) @binding(4) var<storage, read> row_place: array<vec2u>; // [rows] (slot, position)
@group(0) @binding(5) var<storage, read> page_table: array<u32>; // [slots, pages_per_slot]
@group(0) @binding(6) var<storage, read_write> out: array<V>; // [rows, Q, HEAD_DIM]

fn cached(at: u32) -> V {
#if HALF_CACHE
#if VEC
  return vec4f(unpack2x16float(cache[2u * at]), unpack2x16float(cache[2u * at + 1u]));
#else
  let pair = unpack2x16float(cache[at / 2u]);
  return select(pair.x, pair.y, (at & 1u) == 1u);
#endif
#else
  return cache[at];
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let head = id.y;
  if (row >= min(params.rows, live[0])) { return; }
  let kv_head = head * params.kv_heads / params.q_heads;
  let step = params.kv_heads * N; // from one key to the next of its page
  let to_value = PAGE * step; // from a key to its value
  let place = row_place[row];
  let table = place.x * params.pages_per_slot;
  let keys = place.y + 1u;

  var query: array<V, N>;
  for (var i = 0u; i < N; i += one(params.rows)) { put(&query, i, q[(row * params.q_heads + head) * N + i]); }
  var sum: array<V, N>;
  var largest = -3e38f;
  var total = 0f;
  for (var first = 0u; first < keys; first += PAGE) {
    let page = page_table[table + first / PAGE] * 2u * to_value + kv_head * N;
    let count = min(PAGE, keys - first);
    for (var key = 0u; key < count; key++) {
      let at = page + key * step;
      var score = 0f;
      for (var i = 0u; i < N; i++) { score = product(query[i], cached(at + i), score); }
      score *= params.scale;
      let next = max(largest, score);
      let shrink = exp(largest - next);
      let p = exp(score - next);
      total = total * shrink + p;
      for (var i = 0u; i < N; i++) { sum[i] = sum[i] * shrink + p * cached(at + to_value + i); }
      largest = next;
    }
  }
  let inverse = 1f / total;
  for (var i = 0u; i < N; i += one(params.rows)) { out[(row * params.q_heads + head) * N + i] = take(&sum, i) * inverse; }
}
