/**
 * @file Where an adapter's matrices belong: the fused matrices of a layer, their parts, and what PEFT calls them.
 *
 * Projections that read the same input are one matrix to the kernels (q, k, v; gate, up). Their A lie below each other,
 * [parts x rank, inputs]; so do their B, [outputs, rank].
 */
import { Tensor } from '../../kernels';
import type { LoraWeights } from '../../kernels';
import type { ModelConfig } from '../config';
import type { NamedTensor } from '../parameters';
import type { LayerMatrix } from '../passes';
import { loraScale } from './config';
import type { LoraConfig, LoraTarget } from './config';

export interface FusedMatrix {
  matrix: LayerMatrix;
  /** Of the layer, in Hugging Face's names. */
  module: 'self_attn' | 'mlp';
  /** Columns. */
  inputs: number;
  parts: readonly { target: LoraTarget; /** Rows. */ outputs: number }[];
}

/** The four matrices of every layer. */
export function fusedMatrices(config: ModelConfig): FusedMatrix[] {
  const { hiddenSize: d, intermediateSize: f, headDim, heads, kvHeads } = config;
  const q = heads * headDim;
  const kv = kvHeads * headDim;
  return [
    {
      matrix: 'qkv',
      module: 'self_attn',
      inputs: d,
      parts: [
        { target: 'q_proj', outputs: q },
        { target: 'k_proj', outputs: kv },
        { target: 'v_proj', outputs: kv },
      ],
    },
    { matrix: 'out', module: 'self_attn', inputs: q, parts: [{ target: 'o_proj', outputs: d }] },
    {
      matrix: 'gateUp',
      module: 'mlp',
      inputs: d,
      parts: [
        { target: 'gate_proj', outputs: f },
        { target: 'up_proj', outputs: f },
      ],
    },
    { matrix: 'down', module: 'mlp', inputs: f, parts: [{ target: 'down_proj', outputs: d }] },
  ];
}

/**
 * A and B of a layer's matrices; undefined where no part is a target. Parts that are none, beside others that are, are zero,
 * and stay zero: their gradients are.
 */
export type LoraLayer = Readonly<Record<LayerMatrix, LoraWeights | undefined>>;

export interface LoraLayout {
  named: NamedTensor[];
  tensors: Tensor[];
  layers: LoraLayer[];
}

/** `model.layers.0.self_attn.q_proj`: the module that a target is. */
export function moduleName(layer: number, module: string, target: string): string {
  return `model.layers.${layer}.${module}.${target}`;
}

/** PEFT's name of a module's A or B. */
export function peftName(module: string, which: 'A' | 'B'): string {
  return `base_model.model.${module}.lora_${which}.weight`;
}

/** The tensors of an adapter over this model. */
export function layOutAdapter(config: ModelConfig, lora: LoraConfig): LoraLayout {
  const { rank, targets } = lora;
  const scale = loraScale(lora);
  const layout: LoraLayout = { named: [], tensors: [], layers: [] };
  for (let layer = 0; layer < config.layers; layer++) {
    const matrices: Partial<Record<LayerMatrix, LoraWeights>> = {};
    for (const { matrix, module, inputs, parts } of fusedMatrices(config)) {
      if (!parts.some(({ target }) => targets.includes(target))) continue;
      const outputs = parts.reduce((sum, part) => sum + part.outputs, 0);
      const label = moduleName(layer, module, matrix);
      const down = new Tensor(`${label}.lora_A`, [parts.length * rank, inputs]);
      const up = new Tensor(`${label}.lora_B`, [outputs, rank]);
      const ends: number[] = [];
      let row = 0;
      parts.forEach(({ target, outputs: rows }, i) => {
        const name = moduleName(layer, module, target);
        if (targets.includes(target)) {
          const a = { name: peftName(name, 'A'), shape: [rank, inputs], tensor: down, offset: i * rank * inputs };
          const b = { name: peftName(name, 'B'), shape: [rows, rank], tensor: up, offset: row * rank };
          layout.named.push({ ...a, decayed: true }, { ...b, decayed: true });
        }
        ends.push((row += rows));
      });
      layout.tensors.push(down, up);
      matrices[matrix] = { down, up, rank, scale, ends };
    }
    layout.layers.push({ qkv: matrices.qkv, out: matrices.out, gateUp: matrices.gateUp, down: matrices.down });
  }
  return layout;
}

/** Numbers that are trained. */
export function countAdapter(config: ModelConfig, lora: Pick<LoraConfig, 'rank' | 'targets'>): number {
  const perLayer = fusedMatrices(config).flatMap(({ inputs, parts }) =>
    parts.map(({ target, outputs }) => (lora.targets.includes(target) ? lora.rank * (inputs + outputs) : 0)),
  );
  return config.layers * perLayer.reduce((sum, count) => sum + count, 0);
}
