// One head as N elements of type V: vec4f where HEAD_DIM is a multiple of 4 (VEC).

#if VEC
alias V = vec4f;
const N = HEAD_DIM / 4u;
fn product(a: V, b: V, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }
#else
alias V = f32;
const N = HEAD_DIM;
fn product(a: V, b: V, sum: f32) -> f32 { return fma(a, b, sum); }
#endif

// Loops over a head's elements that read or write memory go in steps of `one(a count)`. With ROLLED no compiler can know that
// it is 1, and they stay loops: software adapters take seconds to compile them unrolled, and others run them so.
#if ROLLED
fn one(count: u32) -> u32 { return 1u + (count >> 31u); }
#else
fn one(count: u32) -> u32 { return 1u; }
#endif

// head[e] = value and head[e] without an index that would force the head out of registers: unrolled, no more than that.
fn put(head: ptr<function, array<V, N>>, e: u32, value: V) {
  for (var i = 0u; i < N; i++) { (*head)[i] = select((*head)[i], value, i == e); }
}

fn take(head: ptr<function, array<V, N>>, e: u32) -> V {
  var value = (*head)[0];
  for (var i = 1u; i < N; i++) { value = select(value, (*head)[i], i == e); }
  return value;
}
