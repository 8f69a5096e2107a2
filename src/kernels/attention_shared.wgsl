// Parameters of the packed attention kernels.

struct Params {
  tokens: u32,
  q_heads: u32,
  kv_heads: u32,
  scale: f32,
}
