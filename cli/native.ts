/** @file A checkpoint as a model that environments can talk to, without what training needs. */
import { allOrNothing } from '../src/kernels';
import type { Gpu } from '../src/kernels';
import { Adapter, Generator, NativeModel, Weights } from '../src/model';
import type { FileSource } from '../src/model';
import { openModel } from '../src/rl';
import type { FindBase } from '../src/rl';

export interface LoadedNative {
  model: NativeModel;
  parameters: number;
  destroy(): void;
}

/**
 * Loads a model, or an adapter over its base; 16-bit weights stay as they are.
 * @param find where an adapter's base is looked for
 * @throws CheckpointError, GpuMemoryError
 */
export async function loadNative(gpu: Gpu, folder: FileSource, name: string, find?: FindBase): Promise<LoadedNative> {
  const { config, text, checkpoint, adapter: loaded } = await openModel(folder, { find });
  return allOrNothing(async (own) => {
    const weights = own(await Weights.create(gpu, config, 'parameters', { storage: checkpoint.storage }));
    await checkpoint.writeTo(weights);
    const adapter = loaded && own(await Adapter.create(gpu, config, loaded.lora));
    if (loaded) adapter!.write(loaded.tensors, loaded.source);
    const generator = own(await Generator.create(weights, { adapter }));
    return {
      model: new NativeModel(name, text.chat, generator),
      parameters: weights.parameterCount + (adapter?.parameterCount ?? 0),
      destroy: () => {
        generator.destroy();
        adapter?.destroy();
        weights.destroy();
      },
    };
  });
}
