// Gradient of attention with respect to the queries, and delta = rowsum(dO * O), which the other half needs.
// P is recomputed from the log-sum-exp: p = exp(s - lse); ds = p (dO . v - delta); dq = scale * sum_j ds_j k_j.
// One thread per (query token, head) owns its dq: no atomics, order fixed by the position in the sequence.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qk: array<V>;
@group(0) @binding(2) var<storage, read> qkv: array<V>;
@group(0) @binding(3) var<storage, read> sequence_begin: array<u32>;
@group(0) @binding(4) var<storage, read> out: array<V>;
@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> dout: array<V>; // [tokens, Q, HEAD_DIM]
@group(0) @binding(7) var<storage, read_write> dqk: array<V>; // [tokens, (Q + K), HEAD_DIM]: the q part is written
@group(0) @binding(8) var<storage, read_write> delta: array<f32>; // [tokens, Q]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.x;
  let head = id.y;
  if (token >= params.tokens) { return; }
  let kv_head = head * params.kv_heads / params.q_heads;
  let rotated = params.q_heads + params.kv_heads;
  let stored = rotated + params.kv_heads;
  let row = token * params.q_heads + head;

  var q: array<V, N>;
  var g: array<V, N>;
  var dq: array<V, N>;
  var d = 0f;
  for (var i = 0u; i < N; i += one(params.tokens)) {
    let gradient = dout[row * N + i];
    put(&q, i, qk[(token * rotated + head) * N + i]);
    put(&g, i, gradient);
    d = product(gradient, out[row * N + i], d);
  }
  delta[row] = d;
  let log_sum = lse[row];
  for (var key = sequence_begin[token]; key <= token; key++) {
    let k_at = (key * rotated + params.q_heads + kv_head) * N;
    let v_at = (key * stored + rotated + kv_head) * N;
    var score = 0f;
    var dp = 0f;
    for (var i = 0u; i < N; i++) {
      score = product(q[i], qk[k_at + i], score);
      dp = product(g[i], qkv[v_at + i], dp);
    }
    let ds = exp(score * params.scale - log_sum) * (dp - d) * params.scale;
    for (var i = 0u; i < N; i++) { dq[i] += ds * qk[k_at + i]; }
  }
  for (var i = 0u; i < N; i += one(params.tokens)) { dqk[(token * rotated + head) * N + i] = take(&dq, i); }
}
