/**
 * @file Three machines by what their makers state (Apple and NVIDIA, product pages), and how much of it a step is taken to
 * reach. Nothing here is measured.
 */

export interface Hardware {
  name: string;
  /** f32 operations per second without tensor cores, which WebGPU does not reach. */
  flops: number;
  /** Bytes of memory traffic per second. */
  bandwidth: number;
}

export const HARDWARE: readonly Hardware[] = [
  { name: 'Apple M2, 10-core GPU', flops: 3.6e12, bandwidth: 100e9 },
  { name: 'GeForce RTX 4070', flops: 29.15e12, bandwidth: 504e9 },
  { name: 'H200 SXM', flops: 67e12, bandwidth: 4.8e12 },
];

/** Share of the stated operations that products of many rows are taken to reach (published WGSL products: 0.4 to 0.7). */
export const COMPUTE_EFFICIENCY = 0.4;

/** Share of the stated bandwidth that reading weights is taken to reach. */
export const BANDWIDTH_EFFICIENCY = 0.6;

/** Seconds of work that reads so many bytes and computes so much: the slower of the two decides. */
export function roofline(flops: number, bytes: number, machine: Hardware): number {
  return Math.max(flops / (COMPUTE_EFFICIENCY * machine.flops), bytes / (BANDWIDTH_EFFICIENCY * machine.bandwidth));
}
