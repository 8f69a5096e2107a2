/** @file The products of a layer with its matrices, recorded: with those alone, or with what an adapter adds to them. */
import { linear, linearBackwardInput } from '../kernels';
import type { Extent, LinearOptions, Recorder, Tensor } from '../kernels';

/** The matrices of a layer, as the kernels see them. */
export type LayerMatrix = 'qkv' | 'out' | 'gateUp' | 'down';

/** What an adapter keeps of a layer's forward for its backward, [rows, parts x rank] each. */
export type LowActivations = Partial<Record<LayerMatrix, Tensor>>;

/** y [rows, n] of x [rows, k]. */
export type Product = Pick<LinearOptions, 'x' | 'weight' | 'y' | 'bias' | 'residual'> & { n: number; k: number };

/** The gradient of a product: dx, where it is wanted, from dy; x is what the forward had. */
export type ProductBackward = Pick<Product, 'x' | 'weight' | 'n' | 'k'> & { dy: Tensor; dx: Tensor | undefined };

export interface Passes {
  /** Makes the tensors that a layer's forward writes for its backward. */
  activations(layer: number, name: string): LowActivations;
  /** Records y = x W^T (+ bias) (+ residual), with the adapter's part where there is one. */
  linear(layer: number, matrix: LayerMatrix, low: LowActivations, product: Product): void;
  /** Records what a backward reads of a product, without the product. */
  prepare(layer: number, matrix: LayerMatrix, low: LowActivations, x: Tensor, k: number): void;
  /** Records the gradient of x, and those of the adapter. That of the weight is not asked for. */
  backward(layer: number, matrix: LayerMatrix, low: LowActivations, product: ProductBackward): void;
}

/** Products with the matrices alone. */
export class PlainPasses implements Passes {
  constructor(
    private readonly record: Recorder,
    private readonly rows: Extent,
    private readonly live: Tensor,
  ) {}

  activations(): LowActivations {
    return {};
  }

  linear(_layer: number, _matrix: LayerMatrix, _low: LowActivations, product: Product): void {
    linear(this.record, { ...product, live: this.live, m: this.rows });
  }

  prepare(): void {
    // Nothing: a matrix's gradient reads x itself.
  }

  backward(
    _layer: number,
    _matrix: LayerMatrix,
    _low: LowActivations,
    { dy, weight, dx, n, k }: ProductBackward,
  ): void {
    if (dx) linearBackwardInput(this.record, { dy, weight, dx, m: this.rows, n: k, k: n });
  }
}
