// Causal grouped-query attention over packed sequences of any lengths, forward (Dao 2022, arXiv:2205.14135: the softmax
// runs online and only its log-sum-exp is kept).
//
// One thread per (query token, head): it reads its query once and walks over the keys of its own sequence up to itself.
// Tokens that lie next to each other belong to the same sequence mostly, start at the same key and so read the same
// addresses: the loads are broadcasts. No padding, no masks, cost proportional to the pairs that exist.
// The order of summation depends on the position in the sequence alone.
//
// A head is N elements of type V: see head_vector.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qk: array<V>; // [tokens, (Q + K), HEAD_DIM]
@group(0) @binding(2) var<storage, read> qkv: array<V>; // [tokens, (Q + 2 K), HEAD_DIM]; v is its last third
@group(0) @binding(3) var<storage, read> sequence_begin: array<u32>; // [tokens]: first token of the same sequence
@group(0) @binding(4) var<storage, read_write> out: array<V>; // [tokens, Q, HEAD_DIM]
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // [tokens, Q]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.x;
  let head = id.y;
  if (token >= params.tokens) { return; }
  let kv_head = head * params.kv_heads / params.q_heads;
  let rotated = params.q_heads + params.kv_heads;
  let stored = rotated + params.kv_heads;

  var q: array<V, N>;
  for (var i = 0u; i < N; i += one(params.tokens)) { put(&q, i, qk[(token * rotated + head) * N + i]); }
  var sum: array<V, N>;
  var largest = -3e38f;
  var total = 0f;
  for (var key = sequence_begin[token]; key <= token; key++) {
    let k_at = (key * rotated + params.q_heads + kv_head) * N;
    var score = 0f;
    for (var i = 0u; i < N; i++) { score = product(q[i], qk[k_at + i], score); }
    score *= params.scale;
    let next = max(largest, score);
    let shrink = exp(largest - next);
    let p = exp(score - next);
    total = total * shrink + p;
    let v_at = (key * stored + rotated + kv_head) * N;
    for (var i = 0u; i < N; i++) { sum[i] = sum[i] * shrink + p * qkv[v_at + i]; }
    largest = next;
  }
  let inverse = 1f / total;
  for (var i = 0u; i < N; i += one(params.tokens)) { out[(token * params.q_heads + head) * N + i] = take(&sum, i) * inverse; }
  lse[token * params.q_heads + head] = largest + log(total);
}
