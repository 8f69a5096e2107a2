/** @file AdamW with global gradient clipping over the arenas of what is trained, recorded once; rates change from step to step. */
import { Arena, Recorder, Tensor, adamw, allOrNothing } from '../kernels';
import type { Program, Submission } from '../kernels';
import type { Parameters } from './parameters';

export interface AdamWSettings {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Applied to matrices, not to norms and biases. */
  weightDecay: number;
  /** Largest global gradient norm; 0 = no clipping. */
  maxNorm: number;
}

/** What one update did. */
export interface UpdateReport {
  /** Global gradient norm before clipping. */
  gradNorm: number;
  /** False when the gradient held NaN or infinity: parameters and moments were left as they were. */
  finite: boolean;
}

export class AdamW {
  /** Updates so far; the t of the bias corrections. */
  step = 0;
  #lr = 0;
  #program!: Program;
  #clip!: Tensor;

  private constructor(
    readonly settings: AdamWSettings,
    readonly gradients: Parameters,
    readonly expAvg: Parameters,
    readonly expAvgSq: Parameters,
    private readonly decay: Arena,
  ) {}

  /** @throws GpuLimitError, GpuMemoryError; nothing is left allocated then */
  static create(parameters: Parameters, gradients: Parameters, settings: AdamWSettings): Promise<AdamW> {
    const { gpu } = parameters;
    return allOrNothing(async (own) => {
      const expAvg = own(await parameters.alike('exp_avg'));
      const expAvgSq = own(await parameters.alike('exp_avg_sq'));
      const table = parameters.decayTable(settings.weightDecay);
      const decay = own(await Arena.create(gpu, 'weight decay', [new Tensor('decay', [table.length])]));
      gpu.write(decay.get('decay').buffer, 0, table);
      const optimizer = new AdamW(settings, gradients, expAvg, expAvgSq, decay);
      const record = new Recorder(gpu, 'adamw');
      optimizer.#clip = adamw(record, {
        parameters: parameters.arena,
        gradients: gradients.arena,
        expAvg: expAvg.arena,
        expAvgSq: expAvgSq.arena,
        decay,
        beta1: settings.beta1,
        beta2: settings.beta2,
        epsilon: settings.epsilon,
        lr: () => optimizer.#lr,
        stepSize: () => optimizer.#lr / (1 - settings.beta1 ** optimizer.step),
        inverseSqrtCorrection2: () => 1 / Math.sqrt(1 - settings.beta2 ** optimizer.step),
        maxNorm: () => settings.maxNorm,
      });
      optimizer.#program = await record.finish({ keep: [optimizer.#clip] });
      return optimizer;
    });
  }

  /**
   * Appends one update at this learning rate.
   * @returns resolves after the submission with what it did. When the gradient was not finite, `step` is taken back.
   */
  async update(submission: Submission, lr: number): Promise<UpdateReport> {
    this.step++;
    this.#lr = lr;
    submission.run(this.#program);
    const clip = await submission.read(this.#clip);
    const finite = new Uint32Array(clip)[2] === 1;
    if (!finite) this.step--;
    return { gradNorm: new Float32Array(clip)[0]!, finite };
  }

  destroy(): void {
    this.#program.destroy();
    this.decay.destroy();
    this.expAvg.destroy();
    this.expAvgSq.destroy();
  }
}
