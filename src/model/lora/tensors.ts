/** @file An adapter's tensors on the host: by PEFT's names, checked against the model, and as a new adapter begins. */
import { PURPOSE, Random, deriveKey } from '../../random';
import type { ModelConfig } from '../config';
import { CheckpointError } from '../errors';
import type { TensorValues } from '../parameters';
import { LORA_TARGETS } from './config';
import type { LoraConfig } from './config';
import { fusedMatrices, layOutAdapter, moduleName, peftName } from './layout';

/**
 * Checks names and shapes against a model, without a device.
 * @param source where the tensors come from, for messages
 * @throws CheckpointError naming the tensor: missing, extra, or of another shape
 */
export function checkAdapterTensors(
  tensors: ReadonlyMap<string, { shape: readonly number[] }>,
  config: ModelConfig,
  lora: LoraConfig,
  source: string,
): void {
  const { named } = layOutAdapter(config, lora);
  const wanted = new Map(named.map(({ name, shape }) => [name, shape]));
  for (const name of tensors.keys()) {
    if (wanted.has(name)) continue;
    throw new CheckpointError(
      `${source}: tensor ${name} does not belong to an adapter of ${lora.targets.join(', ')} ` +
        `on this ${config.family} model of ${config.layers} layers`,
    );
  }
  for (const [name, shape] of wanted) {
    const given = tensors.get(name)?.shape;
    if (!given) throw new CheckpointError(`${source}: tensor ${name} [${shape.join(', ')}] is missing`);
    if (given.join() === shape.join()) continue;
    const rank = given[name.includes('.lora_A.') ? 0 : 1];
    const why = rank === lora.rank ? 'the model wants' : `rank ${lora.rank} of its config and the model want`;
    throw new CheckpointError(
      `${source}: tensor ${name} has shape [${given.join(', ')}], ${why} [${shape.join(', ')}]`,
    );
  }
}

/**
 * A new adapter, as PEFT begins one: A uniform within +-1 / sqrt(inputs) (Kaiming's with a = sqrt(5), which is what PyTorch
 * gives a linear layer), B zero, so that the model is still what it was. A function of the seed alone: a target's A does
 * not depend on which others there are.
 */
export function initialAdapter(config: ModelConfig, lora: LoraConfig, seed: number): TensorValues {
  const { rank, targets } = lora;
  const values: TensorValues = new Map();
  for (let layer = 0; layer < config.layers; layer++) {
    for (const { module, inputs, parts } of fusedMatrices(config)) {
      for (const { target, outputs } of parts) {
        if (!targets.includes(target)) continue;
        const name = moduleName(layer, module, target);
        const random = new Random(deriveKey(seed, PURPOSE.adapter, layer, LORA_TARGETS.indexOf(target)));
        const bound = 1 / Math.sqrt(inputs);
        const a = Float32Array.from({ length: rank * inputs }, () => (2 * random.next() - 1) * bound);
        values.set(peftName(name, 'A'), { shape: [rank, inputs], values: a });
        values.set(peftName(name, 'B'), { shape: [outputs, rank], values: new Float32Array(outputs * rank) });
      }
    }
  }
  return values;
}
