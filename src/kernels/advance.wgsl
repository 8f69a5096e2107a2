// The next decode step's rows, made on the GPU: every running slot gives one row (its next input token at its position),
// packed without gaps and in slot order, so that finished sequences cost nothing from the very next step on.
// Also counts: control[0] is the step's index in this submission, control[1] the row-steps computed since the start.
//
// One workgroup; each of 256 threads owns a contiguous piece of the slots, the offsets are added up in order.

struct Params {
  slots: u32,
}

struct State {
  token: u32,
  position: u32,
  running: u32,
}

struct Entry {
  logits_row: u32,
  slot: u32,
  position: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> state: array<State>; // [slots]
@group(0) @binding(2) var<storage, read_write> ids: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read_write> row_place: array<vec2u>; // [rows] (slot, position)
@group(0) @binding(4) var<storage, read_write> entries: array<Entry>; // [rows]
@group(0) @binding(5) var<storage, read_write> live: array<u32>; // [1]
@group(0) @binding(6) var<storage, read_write> control: array<u32>; // [2]

var<workgroup> counts: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  let piece = (params.slots + 255u) / 256u;
  let first = min(thread * piece, params.slots);
  let end = min(first + piece, params.slots);
  var mine = 0u;
  for (var slot = first; slot < end; slot++) { mine += state[slot].running; }
  counts[thread] = mine;
  workgroupBarrier();
  var row = 0u;
  for (var i = 0u; i < thread; i++) { row += counts[i]; }
  for (var slot = first; slot < end; slot++) {
    let s = state[slot];
    if (s.running == 1u) {
      ids[row] = s.token;
      row_place[row] = vec2u(slot, s.position);
      entries[row] = Entry(row, slot, s.position);
      row++;
    }
  }
  if (thread == 255u) {
    live[0] = row;
    control[0] += 1u;
    control[1] += row;
  }
}
