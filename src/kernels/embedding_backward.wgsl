// Gradient of the embedding: gradient[v,:] += sum of dx[r,:] over the rows r whose id is v.
// The host sorts the rows by id (stable), so that the rows of the u-th distinct id are order[begin[u]] .. and lie in
// their original sequence. One thread per (distinct id, dimension): no atomics, fixed order. A gradient
// too large to bind comes in pieces of rows, one dispatch each.

struct Params {
  distinct: u32,
  dim: u32,
  first: u32, // of the piece's rows
  count: u32, // rows of the piece
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dx: array<f32>; // [rows, dim]
@group(0) @binding(2) var<storage, read> distinct_ids: array<u32>; // [distinct]
@group(0) @binding(3) var<storage, read> begin: array<u32>; // [distinct + 1]
@group(0) @binding(4) var<storage, read> order: array<u32>; // [rows]
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>; // [count, dim]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let thread = id.x + id.y * groups.x * 64u;
  let u = thread / params.dim;
  let d = thread % params.dim;
  if (u >= params.distinct) { return; }
  let local = distinct_ids[u] - params.first; // wraps around to a large number below the piece
  if (local >= params.count) { return; }
  var sum = 0f;
  for (var i = begin[u]; i < begin[u + 1u]; i++) { sum += dx[order[i] * params.dim + d]; }
  gradient[local * params.dim + d] += sum;
}
