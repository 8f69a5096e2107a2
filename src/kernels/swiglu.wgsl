// SwiGLU (Shazeer 2020, arXiv:2002.05202) on the packed product of gate and up projections:
//   act[r,f] = silu(g) u,  g = gate_up[r,f],  u = gate_up[r,width+f],  silu(g) = g / (1 + exp(-g))
// BACKWARD, in place: gate_up becomes its own gradient, given dact:
//   dg = dact u s (1 + g (1 - s)),  du = dact g s,  s = sigmoid(g)
// One thread per element.

struct Params {
  rows: u32, // at most; min(rows, live[0]) count
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> live: array<u32>;
#if BACKWARD
@group(0) @binding(2) var<storage, read_write> gate_up: array<f32>; // [rows, 2 width]
@group(0) @binding(3) var<storage, read> dact: array<f32>; // [rows, width]
#else
@group(0) @binding(2) var<storage, read> gate_up: array<f32>;
@group(0) @binding(3) var<storage, read_write> act: array<f32>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let thread = id.x + id.y * groups.x * 64u;
  let row = thread / params.width;
  if (row >= min(params.rows, live[0])) { return; }
  let at = row * 2u * params.width + thread % params.width;
  let g = gate_up[at];
  let u = gate_up[at + params.width];
  let s = 1f / (1f + exp(-clamp(g, -80f, 80f))); // exp of more would overflow; sigmoid is 0 or 1 there in f32
#if BACKWARD
  let d = dact[thread];
  gate_up[at] = d * u * s * (1f + g * (1f - s));
  gate_up[at + params.width] = d * g * s;
#else
  act[thread] = g * s * u;
#endif
}
