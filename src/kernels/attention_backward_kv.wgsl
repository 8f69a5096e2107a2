// Gradient of attention with respect to keys and values. One thread per (key token, key-value head) walks over the
// queries of its sequence from itself to the end, for each query head of its group, and owns its dk and dv.
// dv = sum_i p_i dO_i; dk = scale * sum_i ds_i q_i, with p and ds recomputed as in attention_backward_q.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qk: array<V>;
@group(0) @binding(2) var<storage, read> qkv: array<V>;
@group(0) @binding(3) var<storage, read> sequence_end: array<u32>; // [tokens]: one past the last token of the sequence
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<f32>;
@group(0) @binding(6) var<storage, read> dout: array<V>;
@group(0) @binding(7) var<storage, read_write> dqk: array<V>; // the k part is written
@group(0) @binding(8) var<storage, read_write> dqkv: array<V>; // the v part is written

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.x;
  let kv_head = id.y;
  if (token >= params.tokens) { return; }
  let group = params.q_heads / params.kv_heads;
  let rotated = params.q_heads + params.kv_heads;
  let stored = rotated + params.kv_heads;
  let k_at = (token * rotated + params.q_heads + kv_head) * N;
  let v_at = (token * stored + rotated + kv_head) * N;

  var k: array<V, N>;
  var v: array<V, N>;
  var dk: array<V, N>;
  var dv: array<V, N>;
  for (var i = 0u; i < N; i += one(params.tokens)) {
    put(&k, i, qk[k_at + i]);
    put(&v, i, qkv[v_at + i]);
  }
  let end = sequence_end[token];
  for (var query = token; query < end; query++) {
    for (var head = kv_head * group; head < (kv_head + 1u) * group; head++) {
      let row = query * params.q_heads + head;
      let q_at = (query * rotated + head) * N;
      var score = 0f;
      var dp = 0f;
      for (var i = 0u; i < N; i++) {
        score = product(k[i], qk[q_at + i], score);
        dp = product(v[i], dout[row * N + i], dp);
      }
      let p = exp(score * params.scale - lse[row]);
      let ds = p * (dp - delta[row]) * params.scale;
      for (var i = 0u; i < N; i++) {
        dv[i] += p * dout[row * N + i];
        dk[i] += ds * qk[q_at + i];
      }
    }
  }
  for (var i = 0u; i < N; i += one(params.tokens)) {
    dqk[k_at + i] = take(&dk, i);
    dqkv[v_at + i] = take(&dv, i);
  }
}
