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
