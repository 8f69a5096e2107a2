/**
 * @file Low-rank adapters (Hu et al. 2021, arXiv:2106.09685): beside a frozen matrix W lie two small ones, and the layer
 * computes y = x W^T + scale (x A^T) B^T. A is [rank, inputs], B is [outputs, rank]; only they are trained.
 */

/** Matrices that can have an adapter, by the names they have in Hugging Face's checkpoints, in the order of a layer. */
export const LORA_TARGETS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;

export type LoraTarget = (typeof LORA_TARGETS)[number];

export interface LoraConfig {
  rank: number;
  alpha: number;
  /** In the order of LORA_TARGETS. */
  targets: readonly LoraTarget[];
  /** Share of the inputs of A that is left out in supervised steps; 0 everywhere else. */
  dropout: number;
  /** Scale by alpha / sqrt(rank) in place of alpha / rank (Kalajdzievski 2023, arXiv:2312.03732). */
  rslora: boolean;
  /** What the adapter was made for: a folder or a name of the hub; null where nobody said. */
  baseModel: string | null;
}

/** Factor of the adapter's part of a product. */
export function loraScale({ alpha, rank, rslora }: LoraConfig): number {
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}

/** The same targets, in the order of a layer and each once. */
export function inLayerOrder(targets: readonly LoraTarget[]): LoraTarget[] {
  return LORA_TARGETS.filter((target) => targets.includes(target));
}
