// Log-probability of the target and entropy of softmax(logits * inverse_temperature), per row, with the log-sum-exp (M, log S):
//   logprob = z_t - M - log S,   entropy = -sum_v p_v log p_v = log S - E / S
// with z = logits * inverse_temperature, M = max z, S = sum exp(z - M), E = sum exp(z - M) (z - M). M and log S are kept
// apart: their sum would round away the log-probability of a token that is nearly certain.
//
// The rows are one chunk of all rows whose logits are wanted; results go to offset + row. LANES threads share a row as
// in rmsnorm.wgsl: three passes over the row, two barriers, fixed order.

struct Params {
  rows: u32,
  vocabulary: u32,
  offset: u32, // of the chunk's first row in targets and results
  inverse_temperature: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [rows, vocabulary]
@group(0) @binding(2) var<storage, read> targets: array<u32>; // [all rows]
@group(0) @binding(3) var<storage, read_write> logprob: array<f32>; // [all rows]
@group(0) @binding(4) var<storage, read_write> entropy: array<f32>; // [all rows], nats
@group(0) @binding(5) var<storage, read_write> lse: array<vec2f>; // [all rows] (M, log S)

const ROWS = 64u / LANES;
var<workgroup> partial: array<vec2f, 64>;

// 1, but no compiler can know: loops in these steps stay loops, which software adapters compile in a fraction of the time.
fn step() -> u32 { return 1u + (params.rows >> 31u); }

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u,
        @builtin(num_workgroups) groups: vec3u) {
  let row = (group.x + group.y * groups.x) * ROWS + thread / LANES;
  let lane = thread % LANES;
  let first = thread - lane;
  let valid = row < params.rows;
  let at = row * params.vocabulary;

  var largest = -3e38f;
  if (valid) {
    for (var v = lane; v < params.vocabulary; v += LANES) {
      largest = max(largest, logits[at + v] * params.inverse_temperature);
    }
  }
  partial[thread] = vec2f(largest, 0);
  workgroupBarrier();
  for (var i = 0u; i < LANES; i += step()) { largest = max(largest, partial[first + i].x); }
  workgroupBarrier();
  var sums = vec2f();
  if (valid) {
    for (var v = lane; v < params.vocabulary; v += LANES) {
      let z = logits[at + v] * params.inverse_temperature - largest;
      let p = exp(z);
      sums += vec2f(p, p * z);
    }
  }
  partial[thread] = sums;
  workgroupBarrier();
  if (!valid || lane != 0u) { return; }
  var total = vec2f();
  for (var i = 0u; i < LANES; i += step()) { total += partial[first + i]; }
  let log_sum = log(total.x);
  let to = params.offset + row;
  logprob[to] = logits[at + targets[to]] * params.inverse_temperature - largest - log_sum;
  entropy[to] = log_sum - total.y / total.x;
  lse[to] = vec2f(largest, log_sum);
}
