// Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a counter-based
// generator made of additions, rotations and exclusive ors. src/random is the same function.

fn threefry_round(x: vec2u, rotation: u32) -> vec2u {
  let sum = x.x + x.y;
  return vec2u(sum, ((x.y << rotation) | (x.y >> (32u - rotation))) ^ sum);
}

fn threefry(key: vec2u, counter: vec2u) -> vec2u {
  let third = key.x ^ key.y ^ 0x1bd11bdau;
  var x = counter + key;
  x = threefry_round(threefry_round(threefry_round(threefry_round(x, 13u), 15u), 26u), 6u);
  x += vec2u(key.y, third + 1u);
  x = threefry_round(threefry_round(threefry_round(threefry_round(x, 17u), 29u), 16u), 24u);
  x += vec2u(third, key.x + 2u);
  x = threefry_round(threefry_round(threefry_round(threefry_round(x, 13u), 15u), 26u), 6u);
  x += vec2u(key.x, key.y + 3u);
  x = threefry_round(threefry_round(threefry_round(threefry_round(x, 17u), 29u), 16u), 24u);
  x += vec2u(key.y, third + 4u);
  x = threefry_round(threefry_round(threefry_round(threefry_round(x, 13u), 15u), 26u), 6u);
  x += vec2u(third, key.x + 5u);
  return x;
}

// Uniform in [0, 1) with 24 bits.
fn uniform_random(key: vec2u, counter: u32) -> f32 {
  return f32(threefry(key, vec2u(counter, 0u)).x >> 8u) * 0x1p-24f;
}
