/** @file A checkpoint on disk as a model that environments can talk to, without what training needs. */
import type { Gpu } from '../src/kernels';
import { Generator, NativeModel, Weights } from '../src/model';
import type { FileSource } from '../src/model';
import { loadModel } from '../src/rl';

export interface LoadedNative {
  model: NativeModel;
  parameters: number;
  destroy(): void;
}

/** @throws CheckpointError, GpuMemoryError */
export async function loadNative(gpu: Gpu, folder: FileSource, name: string): Promise<LoadedNative> {
  const { config, text, tensors, source } = await loadModel(folder);
  const weights = await Weights.create(gpu, config);
  weights.write(tensors, source);
  const generator = await Generator.create(weights);
  return {
    model: new NativeModel(name, text.chat, generator),
    parameters: weights.parameterCount,
    destroy: () => {
      generator.destroy();
      weights.destroy();
    },
  };
}
