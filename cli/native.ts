/** @file A checkpoint as a model that environments can talk to, without what training needs. */
import { allOrNothing } from '../src/kernels';
import type { Gpu } from '../src/kernels';
import { Generator, NativeModel, Weights, loadText, openCheckpoint } from '../src/model';
import type { FileSource } from '../src/model';

export interface LoadedNative {
  model: NativeModel;
  parameters: number;
  destroy(): void;
}

/**
 * Streams a checkpoint's weights to the device, as they are stored.
 * @throws CheckpointError, GpuMemoryError; nothing is left allocated then
 */
export async function loadNative(gpu: Gpu, folder: FileSource, name: string): Promise<LoadedNative> {
  const checkpoint = await openCheckpoint(folder);
  const { config, storage } = checkpoint;
  const text = await loadText(folder, config);
  return allOrNothing(async (own) => {
    const weights = own(await Weights.create(gpu, config, 'parameters', { storage }));
    await checkpoint.writeTo(weights);
    const generator = own(await Generator.create(weights));
    return {
      model: new NativeModel(name, text.chat, generator),
      parameters: weights.parameterCount,
      destroy: () => {
        generator.destroy();
        weights.destroy();
      },
    };
  });
}
