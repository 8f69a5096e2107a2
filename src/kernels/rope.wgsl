// Rotary position embedding in the rotate-half convention of Hugging Face (Su et al. 2021, arXiv:2104.09864), with the
// per-head RMSNorm of Qwen3 before it (QK_NORM). Dimension i of a head turns together with i + HEAD_DIM / 2 by the angle
// position * inv_freq[i]; cosines and sines come from tables made by the host in float64.
//
// One thread per (token, head), reading from the packed projection qkv [tokens, (Q + 2 K) HEAD_DIM].
// Training writes the rotated q and k heads to qk [tokens, (Q + K) HEAD_DIM]; v stays where it is.
// CACHE (generation) writes q to qk [rows, Q HEAD_DIM], and the rotated k and the v to the row's place in the paged
// key-value cache [pages, 2, PAGE, K HEAD_DIM], rounded to f16 and two to a word where that is kept so (HALF_CACHE).

struct Params {
  rows: u32,
  q_heads: u32,
  kv_heads: u32,
  eps: f32,
#if CACHE
  pages_per_slot: u32,
#endif
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<f32>;
@group(0) @binding(2) var<storage, read_write> qk: array<f32>;
#if CACHE
@group(0) @binding(3) var<storage, read> row_place: array<vec2u>; // [rows] (slot, position)
#else
@group(0) @binding(3) var<storage, read> positions: array<u32>; // [rows]
#endif
@group(0) @binding(4) var<storage, read> table: array<vec2f>; // [positions, HEAD_DIM / 2] (cos, sin)
#if QK_NORM
@group(0) @binding(5) var<storage, read> norms: array<f32>; // [2, HEAD_DIM rounded up to 64]: q's weight, k's weight
#endif
#if CACHE
#if HALF_CACHE
@group(0) @binding(6) var<storage, read_write> cache: array<u32>;
#else
@group(0) @binding(6) var<storage, read_write> cache: array<f32>;
#endif
@group(0) @binding(7) var<storage, read> page_table: array<u32>; // [slots, pages_per_slot]
@group(0) @binding(8) var<storage, read> live: array<u32>;
#else
#if QK_NORM
@group(0) @binding(9) var<storage, read_write> rstd: array<f32>; // [rows, Q + K]
#endif
#endif

const HALF = HEAD_DIM / 2u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let rotated = params.q_heads + params.kv_heads;
  let stored = rotated + params.kv_heads;
  let thread = id.x + id.y * groups.x * 64u;
#if CACHE
  let heads = stored;
  let rows = min(params.rows, live[0]);
#else
  let heads = rotated;
  let rows = params.rows;
#endif
  let row = thread / heads;
  let head = thread % heads;
  if (row >= rows) { return; }

#if CACHE
  let position = row_place[row].y;
#else
  let position = positions[row];
#endif
  var v: array<f32, HEAD_DIM>;
  let source_at = (row * stored + head) * HEAD_DIM;
  for (var i = 0u; i < HEAD_DIM; i++) { v[i] = qkv[source_at + i]; }

  if (head < rotated) {
#if QK_NORM
    var sum = 0f;
    for (var i = 0u; i < HEAD_DIM; i++) { sum = fma(v[i], v[i], sum); }
    let r = 1f / sqrt(sum / f32(HEAD_DIM) + params.eps);
    let norm = select(0u, NORM_STRIDE, head >= params.q_heads);
    for (var i = 0u; i < HEAD_DIM; i++) { v[i] = norms[norm + i] * (v[i] * r); }
#if CACHE
#else
    rstd[row * rotated + head] = r;
#endif
#endif
    let angle = position * HALF;
    for (var i = 0u; i < HALF; i++) {
      let t = table[angle + i];
      let a = v[i];
      let b = v[i + HALF];
      v[i] = a * t.x - b * t.y;
      v[i + HALF] = b * t.x + a * t.y;
    }
  }

#if CACHE
  if (head < params.q_heads) {
    let to = (row * params.q_heads + head) * HEAD_DIM;
    for (var i = 0u; i < HEAD_DIM; i++) { qk[to + i] = v[i]; }
    return;
  }
  let page = page_table[row_place[row].x * params.pages_per_slot + position / PAGE];
  let is_value = u32(head >= rotated);
  let kv_head = head - params.q_heads - is_value * params.kv_heads;
  let to = (((page * 2u + is_value) * PAGE + position % PAGE) * params.kv_heads + kv_head) * HEAD_DIM;
#if HALF_CACHE
  for (var i = 0u; i < HALF; i++) { cache[to / 2u + i] = pack2x16float(vec2f(v[2u * i], v[2u * i + 1u])); }
#else
  for (var i = 0u; i < HEAD_DIM; i++) { cache[to + i] = v[i]; }
#endif
#else
  let to = (row * rotated + head) * HEAD_DIM;
  for (var i = 0u; i < HEAD_DIM; i++) { qk[to + i] = v[i]; }
#endif
}
