// Copies pages of a key-value cache: a group's members share the full pages of their prompt and get a copy of the last,
// part-filled one, so that the prompt is computed once. One thread per word.

struct Params {
  pairs: u32,
  page_words: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pairs: array<vec2u>; // [pairs] (from, to)
@group(0) @binding(2) var<storage, read_write> cache: array<u32>; // [pages, page_words], whatever they hold

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let thread = id.x + id.y * groups.x * 64u;
  let pair = thread / params.page_words;
  let at = thread % params.page_words;
  if (pair >= params.pairs) { return; }
  cache[pairs[pair].y * params.page_words + at] = cache[pairs[pair].x * params.page_words + at];
}
