// Gradient of rmsnorm with respect to its input. With g = dy * weight and r = rstd:
//   dx = r g - x r^3 / dim * sum(g x)
// ADD: dx += that (the residual stream's gradient, in place). Otherwise, with GATHER, row t of dx takes the gradient of
// the normalised row slot[t], or zero where slot[t] is NONE: the final norm ran on some rows only, and every row of dx
// is written here for the first time.
//
// Lanes share a row as in rmsnorm.wgsl; one barrier, fixed order.

struct Params {
  rows: u32, // rows of dx
  dim: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, dim]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [dim]
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // [rows, dim]
#if GATHER
@group(0) @binding(6) var<storage, read> slot: array<u32>; // [rows]
#endif

const ROWS = 64u / LANES;
const NONE = 0xffffffffu;
var<workgroup> partial: array<f32, 64>;

// 1, but no compiler can know: loops in these steps stay loops, which software adapters compile in a fraction of the time.
fn step() -> u32 { return 1u + (params.rows >> 31u); }

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u,
        @builtin(num_workgroups) groups: vec3u) {
  let row = (group.x + group.y * groups.x) * ROWS + thread / LANES;
  let lane = thread % LANES;
  let valid = row < params.rows;
  var norm_row = row;
#if GATHER
  norm_row = NONE;
  if (valid) { norm_row = slot[row]; }
  let present = norm_row != NONE;
#else
  let present = valid;
#endif
  let at = row * params.dim;
  let dy_at = norm_row * params.dim;
  var sum = 0f;
  if (present) {
    for (var i = lane; i < params.dim; i += LANES) { sum = fma(dy[dy_at + i] * weight[i], x[at + i], sum); }
  }
  partial[thread] = sum;
  workgroupBarrier();
  if (!valid) { return; }
  var total = 0f;
  for (var i = 0u; i < LANES; i += step()) { total += partial[thread - lane + i]; }
  var r = 0f;
  if (present) { r = rstd[norm_row]; }
  let scale = total * r * r * r / f32(params.dim);
  for (var i = lane; i < params.dim; i += LANES) {
    var gradient = 0f;
    if (present) { gradient = r * (dy[dy_at + i] * weight[i]) - x[at + i] * scale; }
#if GATHER
    dx[at + i] = gradient;
#else
    dx[at + i] += gradient;
#endif
  }
}
