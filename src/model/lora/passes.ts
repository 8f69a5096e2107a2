/**
 * @file An adapter's share of a model's passes, recorded beside the products with the frozen weights:
 *
 *     forward    t = scale dropout(x) A^T;  y = x W^T + t B^T
 *     backward   u = scale dy B;  dA += u^T dropout(x);  dB += dy^T t;  dx = dy W + dropout'(u A)
 *
 * W + scale B A is never made. The dropped inputs are not kept: their mask is computed again.
 */
import { dropout, dropoutBackward, linear, linearBackwardInput, loraBackward, loraForward } from '../../kernels';
import type { Extent, LowRank, Recorder, Tensor } from '../../kernels';
import { subKey } from '../../random';
import type { RandomKey } from '../../random';
import type { Adapter } from './adapter';
import type { LayerMatrix, LowActivations, Passes, Product, ProductBackward } from '../passes';

/** What is left out of an adapter's inputs; read anew at every run. */
export interface AdapterDropout {
  rate: number;
  key: RandomKey;
  /** Number of the batch's first token among those of the whole step: a token's mask does not depend on how it is cut. */
  firstToken: number;
}

const MATRICES: readonly LayerMatrix[] = ['qkv', 'out', 'gateUp', 'down'];

export class AdapterPasses implements Passes {
  /**
   * @param gradients of the adapter, for a backward
   * @param mask what `dropout` is to be, for passes that have it
   */
  constructor(
    private readonly record: Recorder,
    private readonly rows: Extent,
    private readonly live: Tensor,
    private readonly adapter: Adapter,
    private readonly gradients: Adapter | undefined,
    private readonly mask: (() => AdapterDropout) | undefined,
  ) {}

  activations(layer: number, name: string): LowActivations {
    const low: LowActivations = {};
    for (const matrix of MATRICES) {
      const lora = this.adapter.layers[layer]![matrix];
      if (!lora) continue;
      low[matrix] = this.#tensor(`${name} ${matrix} low`, lora.ends.length * lora.rank);
    }
    return low;
  }

  linear(layer: number, matrix: LayerMatrix, low: LowActivations, product: Product): void {
    const lora = this.#low(layer, matrix, low, product.x, product.k);
    linear(this.record, { ...product, live: this.live, m: this.rows, lora });
  }

  prepare(layer: number, matrix: LayerMatrix, low: LowActivations, x: Tensor, k: number): void {
    this.#low(layer, matrix, low, x, k);
  }

  #low(layer: number, matrix: LayerMatrix, low: LowActivations, x: Tensor, k: number): LowRank | undefined {
    const lora = this.adapter.layers[layer]![matrix];
    if (!lora) return undefined;
    const inputs = { x: this.#dropped(layer, matrix, x, k, ''), t: low[matrix]!, live: this.live, m: this.rows, k };
    return loraForward(this.record, lora, inputs);
  }

  backward(layer: number, matrix: LayerMatrix, low: LowActivations, product: ProductBackward): void {
    const { dy, x, weight, dx, n, k } = product;
    const { record, rows: m, mask } = this;
    const lora = this.adapter.layers[layer]![matrix];
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
  #dropped(layer: number, matrix: LayerMatrix, x: Tensor, k: number, suffix: string): Tensor {
    const { record, rows, mask } = this;
    if (!mask) return x;
    const out = this.#tensor(`layer ${layer} ${matrix} dropped${suffix}`, k);
    dropout(record, { x, out, rows, columns: k, mask: this.#maskOf(layer, matrix, mask) });
    return out;
  }

  /** Every matrix has a mask of its own; the parts of a fused one, which read the same inputs, share it. */
  #maskOf(layer: number, matrix: LayerMatrix, mask: () => AdapterDropout) {
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
