/** @file One model, many adapters: which of them lies beside the weights is changed without reading the weights again. */
import type { Generator } from '../generator';
import { Adapter } from './adapter';
import { loraScale } from './config';
import type { LoraConfig } from './config';
import type { LoadedAdapter } from './peft';

export class AdapterSwitch {
  #current: LoadedAdapter | undefined;
  #adapter: Adapter | undefined;

  /** @param generator of the model without an adapter, or with one that is somebody else's */
  constructor(readonly generator: Generator) {}

  /** The one in use. */
  get current(): LoadedAdapter | undefined {
    return this.#current;
  }

  /**
   * Puts an adapter beside the weights in place of the one before, or none. What was cached of earlier conversations is
   * forgotten: it was another model's.
   * @param adapter one that fits the model, as `loadAdapter` checks
   * @throws Error when sequences are in flight; CheckpointError naming the tensor; GpuLimitError, GpuMemoryError. The one
   * before stays then
   */
  async use(adapter: LoadedAdapter | undefined): Promise<void> {
    const { generator } = this;
    const { gpu, config } = generator.weights;
    if (adapter && this.#adapter && this.#adapter === generator.adapter && isAlike(this.#adapter.lora, adapter.lora)) {
      generator.invalidate();
      this.#adapter.write(adapter.tensors, adapter.source);
      this.#current = adapter;
      return;
    }
    const next = adapter && (await Adapter.create(gpu, config, adapter.lora));
    try {
      if (adapter) next!.write(adapter.tensors, adapter.source);
      await generator.setAdapter(next);
    } catch (error) {
      next?.destroy();
      throw error;
    }
    this.#adapter?.destroy();
    this.#adapter = next;
    this.#current = adapter;
  }

  /** Frees the adapter; to be called after the generator was destroyed, or given another one. */
  destroy(): void {
    this.#adapter?.destroy();
    this.#adapter = undefined;
    this.#current = undefined;
  }
}

/** Whether two adapters differ in their values alone. */
function isAlike(a: LoraConfig, b: LoraConfig): boolean {
  return a.rank === b.rank && loraScale(a) === loraScale(b) && a.targets.join() === b.targets.join();
}
