/** @file Global gradient norm, clipping and AdamW over flat arenas. */
import adamwSource from './adamw.wgsl?raw';
import clipSource from './grad_clip.wgsl?raw';
import normSource from './grad_norm.wgsl?raw';
import { kernel } from './kernel';
import type { Recorder, Value } from './program';
import { grid1d, tiles, valueOf } from './program';
import type { Arena, Tensor } from './tensor';
import { rangeOf } from './tensor';

const normKernel = kernel('grad_norm', normSource);
const clipKernel = kernel('grad_clip', clipSource);
const adamwKernel = kernel('adamw', adamwSource);

/** Elements that one partial sum of squares covers. */
const NORM_BLOCK = 4096;

/** Elements per entry of the weight-decay table: tensors in an arena start at multiples of this. */
export const DECAY_BLOCK = 64;

export interface AdamWOptions {
  parameters: Arena;
  gradients: Arena;
  expAvg: Arena;
  expAvgSq: Arena;
  /** [arena length / DECAY_BLOCK] */
  decay: Arena;
  beta1: Value;
  beta2: Value;
  epsilon: Value;
  lr: Value;
  /** lr / (1 - beta1^t), computed by the host in float64. */
  stepSize: Value;
  /** 1 / sqrt(1 - beta2^t) */
  inverseSqrtCorrection2: Value;
  /** 0 = no clipping. */
  maxNorm: Value;
}

/**
 * Records norm, clip and update.
 * @returns [3] norm before clipping (f32), clip factor (f32), 1 if the gradient was finite (u32)
 */
export function adamw(record: Recorder, options: AdamWOptions): Tensor {
  const { parameters, gradients, expAvg, expAvgSq, decay, maxNorm } = options;
  const { beta1, beta2, epsilon, lr, stepSize, inverseSqrtCorrection2 } = options;
  // One binding may not cover more than the device allows: long arenas go in ranges of whole blocks.
  const limit = record.gpu.device.limits.maxStorageBufferBindingSize / 4;
  const longest = Math.floor(limit / (NORM_BLOCK * DECAY_BLOCK)) * NORM_BLOCK * DECAY_BLOCK;
  let blocks = 0;
  let words = 0;
  const flat = [parameters, gradients, expAvg, expAvgSq].map((arena) => arena.flat());
  const [decayFlat] = decay.flat();
  const ranges = flat[0]!.flatMap(({ length }, buffer) =>
    Array.from({ length: Math.ceil(length / longest) }, (_, i) => {
      const begin = i * longest;
      const end = Math.min(length, begin + longest);
      const [parameter, gradient, average, square] = flat.map((pieces) => rangeOf(pieces[buffer]!, begin, end));
      const range = {
        count: end - begin,
        firstBlock: blocks,
        tensors: { parameter: parameter!, gradient: gradient!, exp_avg: average!, exp_avg_sq: square! },
        decay: rangeOf(decayFlat!, words / DECAY_BLOCK, Math.ceil((words + end - begin) / DECAY_BLOCK)),
      };
      blocks += tiles(range.count, NORM_BLOCK);
      words += range.count;
      return range;
    }),
  );
  const partial = record.tensor('norm partials', [blocks]);
  const clip = record.tensor('clip', [3]);
  for (const { count, firstBlock, tensors } of ranges) {
    record.dispatch(normKernel, {
      bindings: { values: tensors.gradient, partial },
      params: { count, to: firstBlock },
      workgroups: () => grid1d(tiles(count, NORM_BLOCK)),
    });
  }
  record.dispatch(clipKernel, {
    bindings: { partial, clip },
    params: { count: blocks, max_norm: maxNorm },
    workgroups: () => [1],
  });
  for (const { count, tensors, decay } of ranges) {
    record.dispatch(adamwKernel, {
      bindings: { clip, ...tensors, decay },
      params: {
        count,
        beta1,
        beta2,
        rest1: () => 1 - valueOf(beta1),
        rest2: () => 1 - valueOf(beta2),
        epsilon,
        lr,
        step_size: stepSize,
        inverse_sqrt_correction2: inverseSqrtCorrection2,
      },
      workgroups: () => grid1d(tiles(count, 256)),
    });
  }
  return clip;
}
