// Sum of squares of a flat array, one partial per workgroup of 4,096 elements, in a fixed order:
// 256 threads add 16 elements each, 16 threads add 16 threads each, one thread adds those.

struct Params {
  count: u32,
  to: u32, // index of this range's first partial
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

var<workgroup> sums: array<f32, 256>;

// 1, but no compiler can know: loops in these steps stay loops, which software adapters compile in a fraction of the time.
fn step() -> u32 { return 1u + (params.count >> 31u); }

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u,
        @builtin(num_workgroups) groups: vec3u) {
  let block = group.x + group.y * groups.x;
  var sum = 0f;
  for (var i = 0u; i < 16u; i += step()) {
    let at = block * 4096u + i * 256u + thread;
    if (at < params.count) {
      let v = values[at];
      sum = fma(v, v, sum);
    }
  }
  sums[thread] = sum;
  workgroupBarrier();
  sum = 0f;
  if (thread < 16u) {
    for (var i = 0u; i < 16u; i += step()) { sum += sums[thread * 16u + i]; }
  }
  workgroupBarrier();
  if (thread < 16u) { sums[thread] = sum; }
  workgroupBarrier();
  if (thread == 0u && block * 4096u < params.count) {
    var total = 0f;
    for (var i = 0u; i < 16u; i += step()) { total += sums[i]; }
    partial[params.to + block] = total;
  }
}
