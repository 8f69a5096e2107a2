// Samples one token per entry on the GPU: temperature, top-k, top-p, min-p in this order, each on the renormalised rest
// (top-p keeps the smallest set with mass >= p; of equal logits the lower index is kept first), then the inverse of the
// cumulative distribution at a counter-based uniform number. Temperature 0 takes the largest logit.
//
// Returns the token and its log-probability under softmax(logits / temperature) BEFORE the filters (temperature 1 when
// greedy): what the trainer's ratio is taken against. Then it moves the sequence on: the slot's next input token is the
// sampled one, and the slot goes inactive at a stop token or at its last position.
//
// One workgroup of THREADS per entry; each lane owns a contiguous piece of the vocabulary, sums are per lane, then over
// lanes in order. Thresholds are found by descending through the bits of the order-preserving integer of a float, 32
// counting passes; without filters they are skipped. The uniform number's counter is the new token's position.

struct Params {
  entries: u32, // at most; min(entries, live[0]) count
  vocabulary: u32,
  slots: u32,
}

struct Settings {
  key0: u32,
  key1: u32,
  temperature: f32, // 0 = greedy
  top_k: u32, // 0 = off
  top_p: f32, // 1 = off
  min_p: f32, // 0 = off
  stop0: u32, // tokens that end the sequence; NONE where unused
  stop1: u32,
  stop2: u32,
  stop3: u32,
  last_position: u32, // position of the last token that may be generated
}

struct State {
  token: u32, // the next input token
  position: u32, // where it stands in the sequence
  running: u32, // 1: the token is to be fed and a next one sampled
}

struct Entry {
  logits_row: u32,
  slot: u32,
  position: u32, // of the token whose logits these are
}

struct Result {
  token: u32,
  logprob: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> live: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>; // [*, vocabulary]
@group(0) @binding(3) var<storage, read> entries: array<Entry>;
@group(0) @binding(4) var<storage, read> settings: array<Settings>; // [slots]
@group(0) @binding(5) var<storage, read_write> state: array<State>; // [slots]
@group(0) @binding(6) var<storage, read_write> results: array<Result>; // [steps, slots]
@group(0) @binding(7) var<storage, read> control: array<u32>; // [0]: index of the step

const NONE = 0xffffffffu;

var<workgroup> floats: array<f32, THREADS>;
var<workgroup> counts: array<u32, THREADS>;
var<workgroup> float_result: f32;
var<workgroup> count_result: u32;
var<workgroup> found: u32;
var<workgroup> entry_live: u32;
var<workgroup> shared_settings: Settings;

// What survives the filters so far: order(z) > threshold, or equal to it and index <= last_tie.
var<private> threshold: u32 = 0u;
var<private> last_tie: u32 = NONE;
var<private> row_at: u32;
var<private> scale: f32;
var<private> piece_begin: u32;
var<private> piece_end: u32;

fn z(v: u32) -> f32 { return logits[row_at + v] * scale; }

// Unsigned order of the integers = order of the floats.
fn order(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u);
}

fn kept(v: u32) -> bool {
  let o = order(z(v));
  return o > threshold || (o == threshold && v <= last_tie);
}

// What all lanes have together, summed in their order; floats[lane] is then what the lanes before have. One lane adds: on a
// GPU it takes no longer than if all did the same, on a CPU a fraction.
fn sum_over_lanes(value: f32, lane: u32) -> f32 {
  floats[lane] = value;
  workgroupBarrier();
  if (lane == 0u) {
    var total = 0f;
    for (var i = 0u; i < THREADS; i++) {
      let before = total;
      total += floats[i];
      floats[i] = before;
    }
    float_result = total;
  }
  return workgroupUniformLoad(&float_result);
}

// The same of numbers.
fn count_over_lanes(value: u32, lane: u32) -> u32 {
  counts[lane] = value;
  workgroupBarrier();
  if (lane == 0u) {
    var total = 0u;
    for (var i = 0u; i < THREADS; i++) {
      let before = total;
      total += counts[i];
      counts[i] = before;
    }
    count_result = total;
  }
  return workgroupUniformLoad(&count_result);
}

fn max_over_lanes(value: f32, lane: u32) -> f32 {
  floats[lane] = value;
  workgroupBarrier();
  if (lane == 0u) {
    var largest = floats[0];
    for (var i = 1u; i < THREADS; i++) { largest = max(largest, floats[i]); }
    float_result = largest;
  }
  return workgroupUniformLoad(&float_result);
}

// Index of the n-th (n >= 1) kept element whose order is `o`.
fn nth_tie(o: u32, n: u32, lane: u32) -> u32 {
  var mine = 0u;
  for (var v = piece_begin; v < piece_end; v++) { mine += u32(kept(v) && order(z(v)) == o); }
  if (lane == 0u) { found = NONE; }
  count_over_lanes(mine, lane);
  var before = counts[lane];
  if (before < n && n <= before + mine) {
    for (var v = piece_begin; v < piece_end; v++) {
      if (kept(v) && order(z(v)) == o) {
        before++;
        if (before == n) { found = v; }
      }
    }
  }
  return workgroupUniformLoad(&found);
}

fn keep_top_k(k: u32, lane: u32) {
  var cut = 0u;
  for (var bit = 0x80000000u; bit != 0u; bit >>= 1u) {
    var mine = 0u;
    for (var v = piece_begin; v < piece_end; v++) { mine += u32(order(z(v)) >= (cut | bit)); }
    if (count_over_lanes(mine, lane) >= k) { cut |= bit; }
  }
  var above = 0u;
  for (var v = piece_begin; v < piece_end; v++) { above += u32(order(z(v)) > cut); }
  above = count_over_lanes(above, lane);
  last_tie = nth_tie(cut, k - above, lane);
  threshold = cut;
}

fn keep_top_p(p: f32, largest: f32, lane: u32) {
  var mine = 0f;
  for (var v = piece_begin; v < piece_end; v++) { if (kept(v)) { mine += exp(z(v) - largest); } }
  let wanted = p * sum_over_lanes(mine, lane);
  var cut = 0u;
  for (var bit = 0x80000000u; bit != 0u; bit >>= 1u) {
    mine = 0f;
    for (var v = piece_begin; v < piece_end; v++) {
      if (kept(v) && order(z(v)) >= (cut | bit)) { mine += exp(z(v) - largest); }
    }
    if (sum_over_lanes(mine, lane) >= wanted) { cut |= bit; }
  }
  // Of the elements equal to the cut only as many as the mass needs.
  mine = 0f;
  for (var v = piece_begin; v < piece_end; v++) { if (kept(v) && order(z(v)) > cut) { mine += exp(z(v) - largest); } }
  let above = sum_over_lanes(mine, lane);
  let cut_value = bitcast<f32>(cut ^ select(0xffffffffu, 0x80000000u, (cut >> 31u) == 1u));
  let ties = (wanted - above) / max(exp(cut_value - largest), 1e-37f);
  last_tie = nth_tie(cut, u32(clamp(ceil(ties), 1f, f32(params.vocabulary))), lane);
  threshold = cut;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  if (lane == 0u) {
    entry_live = u32(group.x < min(params.entries, live[0]));
    if (entry_live == 1u) { shared_settings = settings[entries[group.x].slot]; }
  }
  if (workgroupUniformLoad(&entry_live) == 0u) { return; }
  let s = workgroupUniformLoad(&shared_settings);
  let entry = entries[group.x];
  let piece = (params.vocabulary + THREADS - 1u) / THREADS;
  piece_begin = min(lane * piece, params.vocabulary);
  piece_end = min(piece_begin + piece, params.vocabulary);
  row_at = entry.logits_row * params.vocabulary;
  scale = 1f;
  if (s.temperature > 0f) { scale = 1f / s.temperature; }

  var largest = -3e38f;
  for (var v = piece_begin; v < piece_end; v++) { largest = max(largest, z(v)); }
  largest = max_over_lanes(largest, lane);
  var mine = 0f;
  for (var v = piece_begin; v < piece_end; v++) { mine += exp(z(v) - largest); }
  let log_sum = log(sum_over_lanes(mine, lane));

  var token = 0u;
  if (s.temperature == 0f) {
    token = nth_tie(order(largest), 1u, lane);
  } else {
    if (s.top_k > 0u && s.top_k < params.vocabulary) { keep_top_k(s.top_k, lane); }
    if (s.top_p < 1f) { keep_top_p(s.top_p, largest, lane); }
    let floor_z = select(-3e38f, largest + log(s.min_p), s.min_p > 0f);
    mine = 0f;
    for (var v = piece_begin; v < piece_end; v++) {
      if (kept(v) && z(v) >= floor_z) { mine += exp(z(v) - largest); }
    }
    if (lane == 0u) { found = NONE; }
    let total = sum_over_lanes(mine, lane);
    let wanted = uniform_random(vec2u(s.key0, s.key1), entry.position + 1u) * total;
    // The pieces of [0, total) partition it exactly, so one lane's piece holds `wanted`; where rounding puts it past the
    // lane's last token, that token is taken.
    let before = floats[lane];
    if (before <= wanted && wanted < before + mine) {
      var sum = before;
      for (var v = piece_begin; v < piece_end; v++) {
        if (kept(v) && z(v) >= floor_z) {
          sum += exp(z(v) - largest);
          found = v;
          if (wanted < sum) { break; }
        }
      }
    }
    token = workgroupUniformLoad(&found);
  }

  if (lane == 0u) {
    let position = entry.position + 1u;
    let stops = token == s.stop0 || token == s.stop1 || token == s.stop2 || token == s.stop3;
    // Logits that are not finite have no distribution: the host sees NONE and says so.
    let broken = token >= params.vocabulary || (bitcast<u32>(log_sum) & 0x7f800000u) == 0x7f800000u;
    var result = Result(NONE, 0f);
    if (!broken) { result = Result(token, z(token) - largest - log_sum); }
    results[control[0] * params.slots + entry.slot] = result;
    state[entry.slot] = State(token, position, u32(!broken && !stops && position < s.last_position));
  }
}
