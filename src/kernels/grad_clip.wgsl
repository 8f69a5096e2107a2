// From the partial sums of squares to the global gradient norm and the factor that clips it, as PyTorch's
// clip_grad_norm_: factor = min(1, max_norm / (norm + 1e-6)); max_norm 0 = no clipping.
// A gradient that is not finite gives finite = 0, and the optimizer then leaves everything as it is.
// One workgroup; threads stride over the partials, then one adds them up.

struct Params {
  count: u32, // of partials
  max_norm: f32,
}

struct Clip {
  norm: f32,
  factor: f32,
  finite: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> clip: Clip;

var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0f;
  for (var i = thread; i < params.count; i += 256u) { sum += partial[i]; }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread != 0u) { return; }
  var total = 0f;
  for (var i = 0u; i < 256u; i++) { total += sums[i]; }
  let norm = sqrt(total);
  clip.norm = norm;
  clip.factor = 1f;
  if (params.max_norm > 0f) { clip.factor = min(1f, params.max_norm / (norm + 1e-6f)); }
  // A compiler may assume that NaN and infinity do not occur: look at the bits.
  clip.finite = select(1u, 0u, (bitcast<u32>(total) & 0x7f800000u) == 0x7f800000u);
}
