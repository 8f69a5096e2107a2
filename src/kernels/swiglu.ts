/** @file The MLP's gated activation and its gradient. */
import { kernel } from './kernel';
import type { Recorder, Value } from './program';
import { grid1d, tiles, valueOf } from './program';
import source from './swiglu.wgsl?raw';
import type { Tensor } from './tensor';

const swigluKernel = kernel('swiglu', source);

interface Sizes {
  live: Tensor;
  rows: Value;
  width: number;
}

/** act[rows, width] = silu(gate) * up, gate and up being the halves of gateUp's [rows, 2 width]. */
export function swiglu(
  record: Recorder,
  { gateUp, act, live, rows, width }: Sizes & { gateUp: Tensor; act: Tensor },
): void {
  record.dispatch(swigluKernel, {
    bindings: { live, gate_up: gateUp, act },
    params: { rows, width },
    constants: { BACKWARD: 0 },
    workgroups: () => grid1d(tiles(valueOf(rows) * width, 64)),
  });
}

/** Replaces gateUp by its gradient, given dact. */
export function swigluBackward(
  record: Recorder,
  { gateUp, dact, live, rows, width }: Sizes & { gateUp: Tensor; dact: Tensor },
): void {
  record.dispatch(swigluKernel, {
    bindings: { live, gate_up: gateUp, dact },
    params: { rows, width },
    constants: { BACKWARD: 1 },
    workgroups: () => grid1d(tiles(valueOf(rows) * width, 64)),
  });
}
