// Adds up the metrics of all sequences, in order: total[m] += sum_s metrics[s, m] (the largest log-ratio: maximum).
// One workgroup per metric; lanes stride over the sequences, then one thread adds the lanes.

struct Params {
  sequences: u32,
}

const METRICS = 13u;
const MAX_LOG_RATIO = 10u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> metrics: array<f32>; // [sequences, METRICS]
@group(0) @binding(2) var<storage, read_write> total: array<f32>; // [METRICS]

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let metric = group.x;
  let is_max = metric == MAX_LOG_RATIO;
  var sum = 0f;
  for (var s = lane; s < params.sequences; s += 64u) {
    let value = metrics[s * METRICS + metric];
    sum = select(sum + value, max(sum, value), is_max);
  }
  partial[lane] = sum;
  workgroupBarrier();
  if (lane == 0u) {
    var all = total[metric];
    for (var i = 0u; i < 64u; i++) { all = select(all + partial[i], max(all, partial[i]), is_max); }
    total[metric] = all;
  }
}
