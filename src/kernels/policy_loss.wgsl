// The policy-gradient losses: from per-token log-probabilities to the loss, its derivative by each log-probability, and
// the step's metrics. Formulas, names and sources are in rl/losses.ts, which also has the float64 reference.
//
// Rows are the tokens that count, grouped by sequence: sequence s owns rows begin[s] .. begin[s+1]. One workgroup per
// sequence: its 64 lanes walk over the rows (twice for GSPO, whose ratio is the sequence's), then add up their metrics
// in order. Normalisers are the whole optimizer step's and come from the host, so micro-batches add up.

struct Params {
  sequences: u32,
  kind: u32,
  per_sequence: u32, // 1: a token's weight is 1 / (normalizer * tokens of its sequence); 0: 1 / normalizer
  normalizer: f32,
  epsilon_low: f32,
  epsilon_high: f32,
  delta: f32, // two-sided clip; 0 = off
  beta: f32, // weight of the KL to the reference
  mask_low: f32,
  mask_high: f32,
  kl_tau: f32,
  entropy_coefficient: f32,
}

const SFT = 0u;
const CLIP = 1u; // grpo, bnpo, dr_grpo, dapo
const GSPO = 2u;
const CISPO = 3u;
const PRIME = 4u;
const IPO = 5u;
const DISTILL = 6u;

const METRICS = 13u;
const MAX_LOG_RATIO = 10u; // the one metric that is a maximum, not a sum

struct Behaviour {
  old: f32, // log-probability under the policy that sampled the token
  reference: f32, // log-probability under the reference or teacher
  advantage: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> begin: array<u32>; // [sequences + 1]
@group(0) @binding(2) var<storage, read> logprob: array<f32>; // [rows], under the policy being trained
@group(0) @binding(3) var<storage, read> entropy: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read> behaviour: array<Behaviour>; // [rows]
@group(0) @binding(5) var<storage, read_write> dlogprob: array<vec2f>; // [rows] (d loss / d logprob, entropy weight)
@group(0) @binding(6) var<storage, read_write> metrics: array<f32>; // [sequences, METRICS]

var<workgroup> partial: array<array<f32, METRICS>, 64>;
var<workgroup> ratios: array<f32, 64>;

// 1, but no compiler can know: loops in these steps stay loops, which software adapters compile in a fraction of the time.
fn step() -> u32 { return 1u + (params.sequences >> 31u); }

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u,
        @builtin(num_workgroups) groups: vec3u) {
  let sequence = group.x + group.y * groups.x;
  let valid = sequence < params.sequences;
  var first = 0u;
  var end = 0u;
  if (valid) {
    first = begin[sequence];
    end = begin[sequence + 1u];
  }
  let tokens = f32(max(end - first, 1u));
  var weight = 1f / params.normalizer;
  if (params.per_sequence == 1u) { weight = 1f / (params.normalizer * tokens); }

  var log_ratio_sum = 0f;
  for (var row = first + lane; row < end; row += 64u) { log_ratio_sum += logprob[row] - behaviour[row].old; }
  ratios[lane] = log_ratio_sum;
  workgroupBarrier();
  log_ratio_sum = 0f;
  for (var i = 0u; i < 64u; i += step()) { log_ratio_sum += ratios[i]; }
  let sequence_ratio = exp(log_ratio_sum / tokens);

  var m: array<f32, METRICS>;
  for (var row = first + lane; row < end; row += 64u) {
    let logp = logprob[row];
    let b = behaviour[row];
    let log_ratio = logp - b.old;
    var ratio = exp(log_ratio);
    if (params.kind == GSPO) { ratio = sequence_ratio; }
    var advantage = b.advantage;
    var loss = 0f;
    var d = 0f;
    var clip_low = false;
    var clip_high = false;
    var masked_low = false;
    var masked_high = false;
    var dropped = false;

    if (params.kind == SFT) {
      loss = -logp;
      d = -1f;
    } else if (params.kind == CLIP || params.kind == GSPO) {
      var capped = ratio;
      if (params.delta > 0f) { capped = min(ratio, params.delta); }
      let clipped = clamp(ratio, 1f - params.epsilon_low, 1f + params.epsilon_high);
      let free = capped * advantage;
      let bound = clipped * advantage;
      loss = -min(free, bound);
      let inside = ratio >= 1f - params.epsilon_low && ratio <= 1f + params.epsilon_high;
      let moves = select(inside, ratio == capped, free <= bound);
      if (moves) { d = -ratio * advantage; }
      clip_low = capped < 1f - params.epsilon_low && advantage < 0f;
      clip_high = capped > 1f + params.epsilon_high && advantage > 0f;
    } else if (params.kind == CISPO) {
      let scale = min(ratio, params.epsilon_high) * advantage;
      loss = -scale * logp;
      d = -scale;
      clip_high = ratio > params.epsilon_high && advantage > 0f;
    } else { // PRIME, IPO, DISTILL: drop tokens whose probability moved too far
      if (params.kind == DISTILL) { advantage = b.reference - logp; }
      let moved = exp(logp) - exp(b.old);
      if (params.kind == PRIME) {
        masked_high = advantage > 0f && moved > params.mask_high;
        masked_low = advantage <= 0f && moved < -params.mask_low;
      } else {
        masked_high = moved > params.mask_high;
        masked_low = moved < -params.mask_low;
      }
      dropped = masked_low || masked_high;
      if (!dropped) {
        loss = -ratio * advantage;
        d = -ratio * advantage;
      }
      loss += params.kl_tau * log_ratio * log_ratio;
      d += 2f * params.kl_tau * log_ratio;
    }

    let ref_log_ratio = b.reference - logp;
    let ref_ratio = exp(ref_log_ratio);
    if (params.beta != 0f) {
      loss += params.beta * (ref_ratio - ref_log_ratio - 1f);
      d += params.beta * (1f - ref_ratio);
    }
    loss -= params.entropy_coefficient * entropy[row];
    dlogprob[row] = vec2f(d * weight, params.entropy_coefficient * weight);

    m[0] += loss * weight;
    m[1] += entropy[row];
    m[2] += f32(clip_low);
    m[3] += f32(clip_high);
    m[4] += f32(dropped);
    m[5] += f32(masked_low && advantage < 0f);
    m[6] += f32(masked_high && advantage > 0f);
    m[7] += exp(log_ratio) - log_ratio - 1f;
    m[8] += ref_ratio - ref_log_ratio - 1f;
    m[9] += ref_log_ratio;
    m[MAX_LOG_RATIO] = max(m[MAX_LOG_RATIO], abs(log_ratio));
    m[11] += 1f;
    m[12] += logp;
  }
  partial[lane] = m;
  workgroupBarrier();
  if (lane < METRICS && valid) {
    var total = 0f;
    for (var i = 0u; i < 64u; i += step()) {
      let value = partial[i][lane];
      total = select(total + value, max(total, value), lane == MAX_LOG_RATIO);
    }
    // GSPO clips whole sequences: count them as such.
    if (params.kind == GSPO && (lane == 2u || lane == 3u)) { total = min(total, 1f); }
    metrics[sequence * METRICS + lane] = total;
  }
}
