/** @file An adapter on the GPU: one flat arena of its A and B, beside weights that stay as they are. */
import { Arena } from '../../kernels';
import type { Extent, Gpu, Recorder, Tensor } from '../../kernels';
import type { ModelConfig } from '../config';
import { FlatParameters } from '../parameters';
import type { TensorValues } from '../parameters';
import type { Passes } from '../passes';
import type { LoraConfig } from './config';
import { countAdapter, layOutAdapter } from './layout';
import type { LoraLayer, LoraLayout } from './layout';
import { AdapterPasses } from './passes';
import type { AdapterDropout } from './passes';
import { formatAdapter } from './peft';
import { checkAdapterTensors } from './tensors';

/** An adapter's parameters, or anything of their layout: gradients, moments, the copies of sampler and reference. */
export class Adapter extends FlatParameters {
  readonly layers: readonly LoraLayer[];

  private constructor(
    gpu: Gpu,
    /** Of the model that it belongs to. */
    readonly config: ModelConfig,
    readonly lora: LoraConfig,
    label: string,
    arena: Arena,
    layout: LoraLayout,
  ) {
    super(gpu, label, arena, layout.named);
    this.layers = layout.layers;
  }

  /**
   * Reserves memory for an adapter, filled with zeros: a model with it is the model without it.
   * @param label 'adapter', 'gradients', ...
   * @throws GpuLimitError, GpuMemoryError
   */
  static async create(gpu: Gpu, config: ModelConfig, lora: LoraConfig, label = 'adapter'): Promise<Adapter> {
    const layout = layOutAdapter(config, lora);
    return new Adapter(gpu, config, lora, label, await Arena.create(gpu, label, layout.tensors), layout);
  }

  get parameterCount(): number {
    return countAdapter(this.config, this.lora);
  }

  alike(label: string): Promise<Adapter> {
    return Adapter.create(this.gpu, this.config, this.lora, label);
  }

  /** The products of a model that has this adapter beside its weights. */
  passes(record: Recorder, rows: Extent, live: Tensor, gradients?: Adapter, mask?: () => AdapterDropout): Passes {
    return new AdapterPasses(record, rows, live, this, gradients, mask);
  }

  /** The files of its folder, from values of it: it needs no device. */
  files(tensors: TensorValues): Map<string, Uint8Array<ArrayBuffer>> {
    return formatAdapter(this.lora, tensors);
  }

  protected check(values: TensorValues, source: string): void {
    checkAdapterTensors(values, this.config, this.lora, source);
  }
}
