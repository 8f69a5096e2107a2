// Turns a chunk of logits into the gradient of the loss with respect to them, in place:
//   dlogits_v = [ g (1[v = target] - p_v) + e p_v (log p_v + H) ] * inverse_temperature
// where g is the loss's derivative with respect to the row's log-probability and e the weight of its entropy bonus
// (loss = ... - e H). One thread per element; p comes from the kept log-sum-exp.

struct Params {
  rows: u32,
  vocabulary: u32,
  offset: u32,
  inverse_temperature: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>; // [rows, vocabulary]
@group(0) @binding(2) var<storage, read> targets: array<u32>; // [all rows]
@group(0) @binding(3) var<storage, read> lse: array<vec2f>; // [all rows] (largest, log of the sum)
@group(0) @binding(4) var<storage, read> entropy: array<f32>; // [all rows]
@group(0) @binding(5) var<storage, read> dlogprob: array<vec2f>; // [all rows] (g, e)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let thread = id.x + id.y * groups.x * 64u;
  let row = params.offset + thread / params.vocabulary;
  let v = thread % params.vocabulary;
  if (thread / params.vocabulary >= params.rows) { return; }
  let logp = logits[thread] * params.inverse_temperature - lse[row].x - lse[row].y;
  let p = exp(logp);
  let weights = dlogprob[row];
  let hit = select(0f, 1f, v == targets[row]);
  logits[thread] = (weights.x * (hit - p) + weights.y * p * (logp + entropy[row])) * params.inverse_temperature;
}
