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

// 1, but no compiler can know: the loops stay loops, which software adapters compile in a tenth of the time.
fn step() -> u32 { return 1u + (params.rows >> 31u); }

// The head of this thread.
var<private> from_at: u32;
var<private> turns: bool;
var<private> angle: u32;
#if QK_NORM
var<private> norm: u32;
var<private> r: f32;
#endif

// Its elements i and i + HALF, normalised and turned; those of v as they are.
fn pair(i: u32) -> vec2f {
  var v = vec2f(qkv[from_at + i], qkv[from_at + i + HALF]);
  if (turns) {
#if QK_NORM
    v = vec2f(norms[norm + i] * (v.x * r), norms[norm + i + HALF] * (v.y * r));
#endif
    let t = table[angle + i];
    v = vec2f(v.x * t.x - v.y * t.y, v.y * t.x + v.x * t.y);
  }
  return v;
}

#if HALF_CACHE
fn element(i: u32) -> f32 {
  let v = pair(i % HALF);
  return select(v.x, v.y, i >= HALF);
}
#endif

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
  from_at = (row * stored + head) * HEAD_DIM;
  turns = head < rotated;
  angle = position * HALF;
#if QK_NORM
  if (turns) {
    var sum = 0f;
    for (var i = 0u; i < HEAD_DIM; i += step()) {
      let v = qkv[from_at + i];
      sum = fma(v, v, sum);
    }
    r = 1f / sqrt(sum / f32(HEAD_DIM) + params.eps);
    norm = select(0u, NORM_STRIDE, head >= params.q_heads);
#if CACHE
#else
    rstd[row * rotated + head] = r;
#endif
  }
#endif

#if CACHE
  if (head >= params.q_heads) {
    let page = page_table[row_place[row].x * params.pages_per_slot + position / PAGE];
    let is_value = u32(!turns);
    let kv_head = head - params.q_heads - is_value * params.kv_heads;
    let to = (((page * 2u + is_value) * PAGE + position % PAGE) * params.kv_heads + kv_head) * HEAD_DIM;
#if HALF_CACHE
    for (var i = 0u; i < HALF; i += step()) {
      cache[to / 2u + i] = pack2x16float(vec2f(element(2u * i), element(2u * i + 1u)));
    }
#else
    for (var i = 0u; i < HALF; i += step()) {
      let v = pair(i);
      cache[to + i] = v.x;
      cache[to + i + HALF] = v.y;
    }
#endif
    return;
  }
  let to = (row * params.q_heads + head) * HEAD_DIM;
#else
  let to = (row * rotated + head) * HEAD_DIM;
#endif
  for (var i = 0u; i < HALF; i += step()) {
    let v = pair(i);
    qk[to + i] = v.x;
    qk[to + i + HALF] = v.y;
  }
}
