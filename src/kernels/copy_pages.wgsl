// Copies pages of a key-value cache: a group's members share the full pages of their prompt and get a copy of the last,
// part-filled one, so that the prompt is computed once. One thread per element.

struct Params {
  pairs: u32,
  page_elements: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pairs: array<vec2u>; // [pairs] (from, to)
@group(0) @binding(2) var<storage, read_write> cache: array<f32>; // [pages, page_elements]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let thread = id.x + id.y * groups.x * 64u;
  let pair = thread / params.page_elements;
  let at = thread % params.page_elements;
  if (pair >= params.pairs) { return; }
  cache[pairs[pair].y * params.page_elements + at] = cache[pairs[pair].x * params.page_elements + at];
}
