// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over a range of the flat parameter arena, as PyTorch computes it:
//   g = clip factor * gradient;  p *= 1 - lr * decay;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
//   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// Weight decay comes from a table with one entry per 64 elements, since tensors start at multiples of 64.
// One thread per element, every array read and written once. Nothing changes when the gradient is not finite.

struct Params {
  count: u32,
  beta1: f32,
  beta2: f32,
  rest1: f32, // 1 - beta1, not subtracted in f32: 1 - 0.999 would be off by 1e-5
  rest2: f32,
  epsilon: f32,
  lr: f32,
  step_size: f32, // lr / (1 - beta1^t)
  inverse_sqrt_correction2: f32, // 1 / sqrt(1 - beta2^t)
}

struct Clip {
  norm: f32,
  factor: f32,
  finite: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> clip: Clip;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> decay: array<f32>; // [count / 64]
@group(0) @binding(4) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(5) var<storage, read_write> exp_avg: array<f32>;
@group(0) @binding(6) var<storage, read_write> exp_avg_sq: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 256u;
  if (i >= params.count || clip.finite == 0u) { return; }
  let g = gradient[i] * clip.factor;
  let m = params.beta1 * exp_avg[i] + params.rest1 * g;
  let v = params.beta2 * exp_avg_sq[i] + params.rest2 * g * g;
  exp_avg[i] = m;
  exp_avg_sq[i] = v;
  let p = parameter[i] * (1f - params.lr * decay[i / 64u]);
  parameter[i] = p - params.step_size * m / (sqrt(v) * params.inverse_sqrt_correction2 + params.epsilon);
}
