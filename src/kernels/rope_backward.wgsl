// Gradient of rope.wgsl (training layout): turns the gradients of the rotated q and k heads back by the same angle and,
// with QK_NORM, through the per-head RMSNorm: dx = r g - x r^3 / HEAD_DIM * sum(g x) with g = weight * (turned back).
// With QK_NORM the turned-back gradient also replaces dqk, where the norm weights' gradients are summed from.
//
// One thread per (token, head). v's part of dqkv is written by the attention backward.

struct Params {
  rows: u32,
  q_heads: u32,
  kv_heads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dqk: array<f32>; // [tokens, (Q + K) HEAD_DIM]
@group(0) @binding(2) var<storage, read_write> dqkv: array<f32>; // [tokens, (Q + 2 K) HEAD_DIM]
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> table: array<vec2f>;
#if QK_NORM
@group(0) @binding(5) var<storage, read> norms: array<f32>;
@group(0) @binding(6) var<storage, read> qkv: array<f32>;
@group(0) @binding(7) var<storage, read> rstd: array<f32>;
#endif

const HALF = HEAD_DIM / 2u;

// As in rope.wgsl: 1, but no compiler can know.
fn step() -> u32 { return 1u + (params.rows >> 31u); }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let rotated = params.q_heads + params.kv_heads;
  let thread = id.x + id.y * groups.x * 64u;
  let row = thread / rotated;
  let head = thread % rotated;
  if (row >= params.rows) { return; }

  let from_at = (row * rotated + head) * HEAD_DIM;
  let to = (row * (rotated + params.kv_heads) + head) * HEAD_DIM;
  let angle = positions[row] * HALF;
  for (var i = 0u; i < HALF; i += step()) {
    let t = table[angle + i];
    let a = dqk[from_at + i];
    let b = dqk[from_at + i + HALF];
    let turned = vec2f(a * t.x + b * t.y, b * t.x - a * t.y);
#if QK_NORM
    dqk[from_at + i] = turned.x;
    dqk[from_at + i + HALF] = turned.y;
#else
    dqkv[to + i] = turned.x;
    dqkv[to + i + HALF] = turned.y;
#endif
  }
#if QK_NORM
  let norm = select(0u, NORM_STRIDE, head >= params.q_heads);
  let r = rstd[row * rotated + head];
  var sum = 0f;
  for (var i = 0u; i < HEAD_DIM; i += step()) { sum = fma(dqk[from_at + i] * norms[norm + i], qkv[to + i], sum); }
  let scale = sum * r * r * r / f32(HEAD_DIM);
  for (var i = 0u; i < HEAD_DIM; i += step()) {
    dqkv[to + i] = r * (dqk[from_at + i] * norms[norm + i]) - qkv[to + i] * scale;
  }
#endif
}
