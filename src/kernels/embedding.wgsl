// Token embedding: out[r,:] = weight[ids[r],:]. One thread per element; reads and writes are contiguous along a row.
// The host has checked that every id is below the vocabulary size. A matrix too large to bind comes in pieces of rows, one
// dispatch each, which write the rows whose ids are theirs. BF16, F16, Q8: how the matrix is stored (see tensor.ts).

struct Params {
  rows: u32, // at most; min(rows, live[0]) count
  dim: u32,
  first: u32, // of the piece's rows
  count: u32, // rows of the piece
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> live: array<u32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>; // [rows]
#if WIDE
@group(0) @binding(3) var<storage, read> weight: array<f32>; // [count, dim]
#else
@group(0) @binding(3) var<storage, read> weight: array<u32>; // [count, dim], packed
#endif
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // [rows, dim]

fn weight_at(at: u32) -> f32 {
#if WIDE
  return weight[at];
#endif
#if BF16
  let word = weight[at / 2u];
  return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (at & 1u) == 1u));
#endif
#if F16
  let pair = unpack2x16float(weight[at / 2u]);
  return select(pair.x, pair.y, (at & 1u) == 1u);
#endif
#if Q8
  let block = at / 32u * 9u;
  let word = bitcast<i32>(weight[block + 1u + (at % 32u) / 4u]);
  return bitcast<f32>(weight[block]) * f32((word << (24u - 8u * (at % 4u))) >> 24u);
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let thread = id.x + id.y * groups.x * 64u;
  let row = thread / params.dim;
  if (row >= min(params.rows, live[0])) { return; }
  let local = ids[row] - params.first; // wraps around to a large number below the piece
  if (local >= params.count) { return; }
  out[thread] = weight_at(local * params.dim + thread % params.dim);
}
