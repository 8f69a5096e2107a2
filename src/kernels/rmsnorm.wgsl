// Root-mean-square normalisation over rows: y[r,:] = weight * x[s,:] * rstd[r], rstd = 1 / sqrt(mean(x^2) + eps).
// s = r, or index[r] with GATHER (the final norm runs only on the rows whose logits are wanted).
//
// LANES threads share a row (a power of two, at most 64, chosen from dim alone): neighbours read neighbouring elements,
// each adds up dim / LANES of them, then every lane adds the partial sums in the same order. One barrier; the order of
// summation depends on dim only. x is read twice (the second time from cache), y written once.

struct Params {
  rows: u32, // at most; min(rows, live[0]) count
  dim: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> live: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>; // [*, dim]
@group(0) @binding(3) var<storage, read> weight: array<f32>; // [dim]
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [rows, dim]
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>; // [rows], kept for the backward
#if GATHER
@group(0) @binding(6) var<storage, read> index: array<u32>; // [rows]
#endif

const ROWS = 64u / LANES;
var<workgroup> partial: array<f32, 64>;

// 1, but no compiler can know: loops in these steps stay loops, which software adapters compile in a fraction of the time.
fn step() -> u32 { return 1u + (params.rows >> 31u); }

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u,
        @builtin(num_workgroups) groups: vec3u) {
  let row = (group.x + group.y * groups.x) * ROWS + thread / LANES;
  let lane = thread % LANES;
  let valid = row < min(params.rows, live[0]);
  var source = row;
#if GATHER
  if (valid) { source = index[row]; }
#endif
  let source_at = source * params.dim;
  var sum = 0f;
  if (valid) {
    for (var i = lane; i < params.dim; i += LANES) {
      let v = x[source_at + i];
      sum = fma(v, v, sum);
    }
  }
  partial[thread] = sum;
  workgroupBarrier();
  if (!valid) { return; }
  var total = 0f;
  for (var i = 0u; i < LANES; i += step()) { total += partial[thread - lane + i]; }
  let r = 1f / sqrt(total / f32(params.dim) + params.eps);
  if (lane == 0u) { rstd[row] = r; }
  for (var i = lane; i < params.dim; i += LANES) {
    y[row * params.dim + i] = weight[i] * (x[source_at + i] * r);
  }
}
