// Dropout (Srivastava et al. 2014), inverted: an element stays with probability 1 - rate and is then divided by it.
//   mask[r,c] = uniform(key; r, c) >= rate ? 1 / (1 - rate) : 0
//   out[r,c] = x[r,c] mask[r,c], or with ADD: out[r,c] += x[r,c] mask[r,c]   (the gradient, added to what is there)
// The mask is a function of key, row and column: the backward computes it again, nothing is kept. Rows are numbered by
// the host, so that a token has its mask in whatever micro-batch it is computed.
// One thread takes two neighbours in a row: 64 random bits are enough for both. Needs random.wgsl.

struct Params {
  rows: u32,
  columns: u32,
  first_row: u32, // number of row 0
  key0: u32,
  key1: u32,
  rate: f32, // below 1
  scale: f32, // 1 / (1 - rate)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [rows, columns]

fn write(at: u32, bits: u32) {
  let kept = f32(bits >> 8u) * 0x1p-24f >= params.rate;
  let value = select(0f, x[at] * params.scale, kept);
#if ADD
  out[at] += value;
#else
  out[at] = value;
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let pairs = (params.columns + 1u) / 2u;
  let thread = id.x + id.y * groups.x * 64u;
  let row = thread / pairs;
  if (row >= params.rows) { return; }
  let pair = thread % pairs;
  let at = row * params.columns + 2u * pair;
  let bits = threefry(vec2u(params.key0, params.key1), vec2u(pair, params.first_row + row));
  write(at, bits.x);
  if (2u * pair + 1u < params.columns) { write(at + 1u, bits.y); }
}
