/** @file Two that generate: our generator, and transformers.js over ONNX Runtime's WebGPU provider. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Gpu } from '../../src/kernels';
import { Generator, Weights } from '../../src/model';
import type { TensorValues } from '../../src/model';
import type { Engine } from '../../src/model/transformers/engine';
import { deriveKey } from '../../src/random';
import { exportLlama } from './export';
import type { DecodeConfig } from './models';

export interface Decoder {
  name: string;
  /** Takes the likeliest token every time, so that its tokens can be compared. */
  greedy: boolean;
  /**
   * Continues one prompt in so many rollouts, all of the config's length.
   * @returns the new tokens of each
   */
  generate(promptIds: readonly number[], rollouts: number): Promise<number[][]>;
  destroy(): Promise<void>;
}

/** Greedy, and as rollouts of a training step are sampled; both on one generator. */
export async function ourDecoders(gpu: Gpu, config: DecodeConfig, values: TensorValues): Promise<Decoder[]> {
  const weights = await Weights.create(gpu, config.model);
  weights.write(values, 'bench');
  const generator = await Generator.create(weights, { slots: config.rollouts });
  let draws = 0;
  const decoder = (name: string, temperature: number): Decoder => ({
    name,
    greedy: temperature === 0,
    async generate(promptIds, rollouts) {
      const sampling = { temperature, topK: 0, topP: 1, minP: 0, maxTokens: config.newTokens, stopTokens: [] };
      const draw = draws++;
      const requests = Array.from({ length: rollouts }, (_, rollout) =>
        generator.generate({ promptIds, sampling, key: deriveKey(1, draw, rollout) }),
      );
      return (await Promise.all(requests)).map(({ ids }) => ids);
    },
    destroy() {
      generator.destroy();
      weights.destroy(); // both are safe to call twice
      return Promise.resolve();
    },
  });
  return [decoder('ours', 0), decoder('ours, sampled', 1)];
}

/** transformers.js is not where this program runs: it cannot be packed into one file. */
export class NoTransformersError extends Error {
  override name = 'NoTransformersError';
}

const LIBRARY = '@huggingface/transformers';

/**
 * @param device ONNX Runtime's provider
 * @throws NoTransformersError
 */
export async function transformersDecoder(
  config: DecodeConfig,
  values: TensorValues,
  device: 'webgpu' | 'cpu' = 'webgpu',
): Promise<Decoder> {
  const library = await loadLibrary();
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-onnx-'));
  const free = () => rmSync(folder, { recursive: true, force: true });
  try {
    exportLlama(folder, config.model, values);
    library.env.allowLocalModels = true;
    library.env.allowRemoteModels = false;
    const model = await library.AutoModelForCausalLM.from_pretrained(folder, {
      local_files_only: true,
      device,
      dtype: 'fp32',
      use_external_data_format: true,
    });
    return {
      name: 'transformers.js',
      greedy: true,
      async generate(promptIds, rollouts) {
        const shape = [rollouts, promptIds.length];
        const ids = BigInt64Array.from(Array.from({ length: rollouts }, () => promptIds).flat(), BigInt);
        const sequences = (await model.generate({
          input_ids: new library.Tensor('int64', ids, shape),
          attention_mask: new library.Tensor('int64', new BigInt64Array(ids.length).fill(1n), shape),
          max_new_tokens: config.newTokens,
          do_sample: false,
          eos_token_id: null,
        })) as { tolist(): bigint[][] };
        return sequences.tolist().map((row) => row.slice(promptIds.length).map(Number));
      },
      async destroy() {
        await model.dispose();
        free();
      },
    };
  } catch (error) {
    free();
    throw error;
  }
}

async function loadLibrary(): Promise<Engine> {
  try {
    return (await import('@huggingface/transformers')) as unknown as Engine;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new NoTransformersError(
      `${LIBRARY} and its ONNX Runtime are not installed here and cannot be packed into one file: ours is measured alone`,
    );
  }
}
