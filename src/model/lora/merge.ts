/**
 * @file An adapter merged into its base: W + scale B A, and nothing beside W any more.
 *
 * On the host, tensor by tensor, so that no more than one is in memory twice. Each element is summed in float64 and rounded
 * once, to float32: the merged model's logits differ from the adapted one's by float32 rounding alone. A base that is kept
 * in 16 bits grows to 32, since rounding the sum to 16 would lose most of what a small adapter adds.
 */
import type { ModelConfig } from '../config';
import { formatModelConfig } from '../config';
import { encodeJson } from '../files';
import { formatSafetensors } from '../safetensors';
import { planShards } from '../shards';
import { tensorShapes } from '../weights';
import type { TensorValues } from '../parameters';
import { loraScale } from './config';
import { fusedMatrices, moduleName, peftName } from './layout';
import type { LoadedAdapter } from './peft';

type Values = Float32Array<ArrayBuffer>;

/** Adds an adapter's part to tensors of its base. */
export class Merger {
  readonly #scale: number;
  /** Modules that are targets, by the names of their weights. */
  readonly #modules = new Map<string, string>();

  /** @param adapter one that fits a model of this config, as `loadAdapter` checks */
  constructor(
    config: ModelConfig,
    private readonly adapter: Pick<LoadedAdapter, 'lora' | 'tensors'>,
  ) {
    this.#scale = loraScale(adapter.lora);
    for (let layer = 0; layer < config.layers; layer++) {
      for (const { module, parts } of fusedMatrices(config)) {
        for (const { target } of parts) {
          if (!adapter.lora.targets.includes(target)) continue;
          const name = moduleName(layer, module, target);
          this.#modules.set(`${name}.weight`, name);
        }
      }
    }
  }

  /** The merged values of one tensor of the base; those of a tensor without adapter are handed back as they are. */
  merge(name: string, base: Values): Values {
    const module = this.#modules.get(name);
    if (module === undefined) return base;
    const { rank } = this.adapter.lora;
    const a = this.adapter.tensors.get(peftName(module, 'A'))!;
    const b = this.adapter.tensors.get(peftName(module, 'B'))!.values;
    const inputs = a.shape[1]!;
    const merged = new Float32Array(base.length);
    const row = new Float64Array(inputs);
    for (let begin = 0, i = 0; begin < base.length; begin += inputs, i++) {
      row.fill(0);
      for (let r = 0; r < rank; r++) {
        const factor = b[i * rank + r]!;
        const from = r * inputs;
        for (let j = 0; j < inputs; j++) row[j]! += factor * a.values[from + j]!;
      }
      for (let j = 0; j < inputs; j++) merged[begin + j] = base[begin + j]! + this.#scale * row[j]!;
    }
    return merged;
  }
}

/** All tensors of a model with the adapter merged into them. The base is not changed. */
export function mergeAdapter(
  config: ModelConfig,
  base: TensorValues,
  adapter: Pick<LoadedAdapter, 'lora' | 'tensors'>,
): TensorValues {
  const merger = new Merger(config, adapter);
  return new Map([...base].map(([name, { shape, values }]) => [name, { shape, values: merger.merge(name, values) }]));
}

/** Bytes of one file of a merged model: it is made in memory. */
const SHARD_BYTES = 512 * 2 ** 20;

/**
 * A merged model's folder, file by file: config.json last, so that the folder is a model only once it is whole.
 * @param base reads the values of one tensor of the base
 * @param shardBytes of weights in one file at most, unless one tensor has more; more files come with an index, as
 * Hugging Face has it
 */
export async function* mergedModel(
  config: ModelConfig,
  base: (name: string) => Promise<Values>,
  adapter: Pick<LoadedAdapter, 'lora' | 'tensors'>,
  shardBytes = SHARD_BYTES,
): AsyncGenerator<[file: string, bytes: Uint8Array<ArrayBuffer>], void, void> {
  const merger = new Merger(config, adapter);
  const sized = tensorShapes(config).map(({ name, shape }) => {
    return { name, shape, bytes: 4 * shape.reduce((product, size) => product * size, 1) };
  });
  const { shards, index } = planShards(sized, shardBytes);
  for (const { file, tensors: shard } of shards) {
    const tensors: TensorValues = new Map();
    for (const { name, shape } of shard) {
      tensors.set(name, { shape, values: merger.merge(name, await base(name)) });
    }
    yield [file, formatSafetensors(tensors)];
  }
  if (index) yield index;
  yield ['config.json', encodeJson(formatModelConfig(config))];
}
