// Token embedding: out[r,:] = weight[ids[r],:]. One thread per element; reads and writes are contiguous along a row.
// The host has checked that every id is below the vocabulary size.

struct Params {
  rows: u32, // at most; min(rows, live[0]) count
  dim: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> live: array<u32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read> weight: array<f32>; // [vocabulary, dim]
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // [rows, dim]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let thread = id.x + id.y * groups.x * 64u;
  let row = thread / params.dim;
  if (row >= min(params.rows, live[0])) { return; }
  out[thread] = weight[ids[row] * params.dim + thread % params.dim];
}
