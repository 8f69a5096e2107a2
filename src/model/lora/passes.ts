/**
 * @file An adapter's share of a model's passes, recorded beside the products with the frozen weights:
 *
 *     forward    t = scale dropout(x) A^T;  y = x W^T + t B^T
 *     backward   u = scale dy B;  dA += u^T dropout(x);  dB += dy^T t;  dx = dy W + dropout'(u A)
 *
 * W + scale B A is never made. The dropped inputs are not kept: their mask is computed again.
 */
import { dropout, dropoutBackward, linear, linearBackwardInput, loraBackward, loraForward } from '../../kernels';
import type { Extent, LinearOptions, LowRank, Recorder, Tensor } from '../../kernels';
import { subKey } from '../../random';
import type { RandomKey } from '../../random';
import type { Adapter } from './adapter';
import type { LoraMatrix } from './layout';

/** What is left out of an adapter's inputs; read anew at every run. */
export interface AdapterDropout {
  rate: number;
  key: RandomKey;
  /** Number of the batch's first token among those of the whole step: a token's mask does not depend on how it is cut. */
  firstToken: number;
}

/** Tensors [rows, parts x rank] of one layer: what its matrices' A make of their inputs. */
export type LowActivations = Partial<Record<LoraMatrix, Tensor>>;

const MATRICES: readonly LoraMatrix[] = ['qkv', 'out', 'gateUp', 'down'];

type Product = Pick<LinearOptions, 'x' | 'weight' | 'y' | 'bias' | 'residual'> & {
  /** Columns of y, and of x. */
  n: number;
  k: number;
};

export class AdapterPasses {
  /**
   * @param adapter without one, products are those of the weights alone
   * @param gradients of the adapter, for a backward
   * @param mask what `dropout` is to be, for passes that have it
   */
  constructor(
    private readonly record: Recorder,
    private readonly rows: Extent,
    private readonly live: Tensor,
    private readonly adapter: Adapter | undefined,
    private readonly gradients?: Adapter,
    private readonly mask?: () => AdapterDropout,
  ) {}

  /** Makes the tensors that a layer's forward writes and its backward reads. */
  activations(layer: number, name: string): LowActivations {
    const low: LowActivations = {};
    for (const matrix of MATRICES) {
      const lora = this.adapter?.layers[layer]![matrix];
      if (!lora) continue;
      low[matrix] = this.#tensor(`${name} ${matrix} low`, lora.ends.length * lora.rank);
    }
    return low;
  }

  /** Records y = x W^T (+ bias) (+ residual), with the adapter's part where there is one. */
  linear(layer: number, matrix: LoraMatrix, low: LowActivations, product: Product): void {
    const lora = this.low(layer, matrix, low, product.x, product.k);
    linear(this.record, { ...product, live: this.live, m: this.rows, lora });
  }

  /** Records what the adapter makes of a matrix's inputs: all that a backward reads of it. */
  low(layer: number, matrix: LoraMatrix, low: LowActivations, x: Tensor, k: number): LowRank | undefined {
    const lora = this.adapter?.layers[layer]![matrix];
    if (!lora) return undefined;
    const inputs = { x: this.#dropped(layer, matrix, x, k, ''), t: low[matrix]!, live: this.live, m: this.rows, k };
    return loraForward(this.record, lora, inputs);
  }

  /**
   * Records the gradients of A and B, and of x where it is wanted, from dy [rows, n].
   * @param product its x is what the forward had
   */
  backward(
    layer: number,
    matrix: LoraMatrix,
    low: LowActivations,
    { dy, x, weight, dx, n, k }: Pick<Product, 'x' | 'weight' | 'n' | 'k'> & { dy: Tensor; dx: Tensor | undefined },
  ): void {
    const { record, rows: m, mask } = this;
    const lora = this.adapter?.layers[layer]![matrix];
    if (!lora) {
      if (dx) linearBackwardInput(record, { dy, weight, dx, m, n: k, k: n });
      return;
    }
    const name = `layer ${layer} ${matrix}`;
    const width = lora.ends.length * lora.rank;
    const u = this.#tensor(`${name} dlow`, width);
    const dropped = this.#dropped(layer, matrix, x, k, ' again');
    const gradients = this.gradients!.layers[layer]![matrix]!;
    const through = loraBackward(record, lora, gradients, { dy, x: dropped, t: low[matrix]!, u, m, n, k });
    if (!dx) return;
    linearBackwardInput(record, { dy, weight, dx, m, n: k, k: n, ...(!mask && { lora: through }) });
    if (!mask) return;
    const ddropped = this.#tensor(`${name} ddropped`, k);
    linearBackwardInput(record, { dy: u, weight: lora.down, dx: ddropped, m, n: k, k: width });
    dropoutBackward(record, { x: ddropped, out: dx, rows: m, columns: k, mask: this.#maskOf(layer, matrix, mask) });
  }

  /** What A is applied to. */
  #dropped(layer: number, matrix: LoraMatrix, x: Tensor, k: number, suffix: string): Tensor {
    const { record, rows, mask } = this;
    if (!mask) return x;
    const out = this.#tensor(`layer ${layer} ${matrix} dropped${suffix}`, k);
    dropout(record, { x, out, rows, columns: k, mask: this.#maskOf(layer, matrix, mask) });
    return out;
  }

  /** Every matrix has a mask of its own; the parts of a fused one, which read the same inputs, share it. */
  #maskOf(layer: number, matrix: LoraMatrix, mask: () => AdapterDropout) {
    return {
      rate: () => mask().rate,
      key: () => subKey(mask().key, layer, MATRICES.indexOf(matrix)),
      firstRow: () => mask().firstToken,
    };
  }

  #tensor(label: string, columns: number): Tensor {
    return this.record.tensor(label, [this.rows.capacity, columns]);
  }
}
