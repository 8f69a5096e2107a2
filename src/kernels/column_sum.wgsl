// Gradients that are sums over rows, one value per column:
//   NORM   dWeight[c] += sum_r dy[r,c] x[r,c] rstd[r]     (RMSNorm and per-head q/k norm weights)
//   else   dBias[c]   += sum_r dy[r,c]                    (biases)
// A row r is head r % heads of token r / heads; strides and offsets say where its values lie, so that q and k heads are
// read in place from the packed projections. GATHER: x's token is index[token].
//
// A workgroup owns 8 columns; 32 lanes each add every 32nd row, then one thread per column adds the lanes in order.
// No atomics, one dispatch, order fixed by the number of rows.

struct Params {
  rows: u32,
  columns: u32,
  heads: u32,
  dy_stride: u32, // elements per token
  dy_offset: u32,
  x_stride: u32,
  x_offset: u32,
  rstd_stride: u32,
  rstd_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>; // [columns]
#if NORM
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> rstd: array<f32>;
#endif
#if GATHER
@group(0) @binding(5) var<storage, read> index: array<u32>;
#endif

var<workgroup> partial: array<f32, 256>;

// 1, but no compiler can know: loops in these steps stay loops, which software adapters compile in a fraction of the time.
fn step() -> u32 { return 1u + (params.rows >> 31u); }

@compute @workgroup_size(8, 32)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
  let column = group.x * 8u + local.x;
  var sum = 0f;
  if (column < params.columns) {
    for (var row = local.y; row < params.rows; row += 32u) {
      let token = row / params.heads;
      let head = row % params.heads;
      let g = dy[token * params.dy_stride + params.dy_offset + head * params.columns + column];
#if NORM
      var source = token;
#if GATHER
      source = index[token];
#endif
      let v = x[source * params.x_stride + params.x_offset + head * params.columns + column];
      sum = fma(g, v * rstd[token * params.rstd_stride + params.rstd_offset + head], sum);
#else
      sum += g;
#endif
    }
  }
  partial[local.y * 8u + local.x] = sum;
  workgroupBarrier();
  if (local.y == 0u && column < params.columns) {
    var total = gradient[column];
    for (var lane = 0u; lane < 32u; lane += step()) { total += partial[lane * 8u + local.x]; }
    gradient[column] = total;
  }
}
