/** @file The kernels that may do a matrix product in place of the base kernel, and where they make sense. */
import { kernel } from './kernel';
import { BASE_MATMUL } from './matmul';
import columnsSource from './matmul_columns.wgsl?raw';
import lanesSource from './matmul_lanes.wgsl?raw';
import operands from './matmul_operands.wgsl?raw';
import registersSource from './matmul_registers.wgsl?raw';
import splitSource from './matmul_split.wgsl?raw';
import tiledSource from './matmul_tiled.wgsl?raw';
import { isLavapipe, isSoftware } from './software';
import type { DType } from './tensor';
import type { MatmulProblem, MatmulVariant } from './tuner';

const registersKernel = kernel('matmul_registers', operands, registersSource);
const splitKernel = kernel('matmul_split', operands, splitSource);
const tiledKernel = kernel('matmul_tiled', operands, tiledSource);
const lanesKernel = kernel('matmul_lanes', operands, lanesSource);
const columnsKernel = kernel('matmul_columns', operands, columnsSource);

interface Variant extends MatmulVariant {
  /** The kernel's own conditions. */
  layouts?: readonly MatmulProblem['layout'][];
  storages?: readonly DType[];
  subgroups?: boolean;
  /** Made for adapters that are no GPU: elsewhere most of a subgroup would be idle. */
  software?: boolean;
  /** Sizes of C for which it is worth a try: for others it would mostly compute what nobody wants. */
  leastRows?: number;
  mostRows?: number;
  leastColumns?: number;
  mostElements?: number;
  leastSum?: number;
}

/** A thread's tile of rows x (4 quads) elements, 8x8 threads. */
function registers(rows: number, quads: number): Variant {
  return {
    name: `registers ${rows}x${4 * quads}`,
    kernel: registersKernel,
    constants: { WIDTH: 8, HEIGHT: 8, ROWS: rows, QUADS: quads },
    rows: 8 * rows,
    columns: 32 * quads,
    leastRows: 8 * rows,
    leastColumns: 32 * quads,
  };
}

/** A workgroup's tile of rows x columns elements, `each` x `each` a thread. */
function tiled(size: number, each: number, depth: number): Variant {
  const threads = size / each;
  return {
    name: `tiled ${size}x${size} by ${each}x${each}`,
    kernel: tiledKernel,
    constants: { WIDTH: threads, HEIGHT: threads, ROWS: each, QUADS: each / 4, DEPTH: depth },
    rows: size,
    columns: size,
    leastRows: size / 2,
    leastColumns: size / 2,
  };
}

/** A workgroup's tile of `size` x `size` elements, `groups` groups of threads that share k. */
function split(size: number, groups: number): Variant {
  const threads = size / 4;
  return {
    name: `split ${size}x${size} in ${groups}`,
    kernel: splitKernel,
    constants: { WIDTH: threads, HEIGHT: threads, GROUPS: groups },
    rows: size,
    columns: size,
    layouts: ['TN'],
    // Larger ones have tiles enough to fill a GPU.
    mostElements: 2 ** 18,
    leastSum: 256,
  };
}

/** Subgroups that share `rows` rows; `single`: with one k at a time. */
function lanes(width: number, rows: number, single = false): Variant {
  return {
    name: `lanes ${width} by ${rows}${single ? ', single' : ''}`,
    kernel: lanesKernel,
    constants: { WIDTH: width, ROWS: rows, SINGLE: Number(single) },
    ...(single && { storages: ['f32'] }),
    rows,
    columns: 4 * width,
    rowsFirst: true,
    subgroups: true,
    software: width < 32,
    ...(rows < 4 ? { layouts: ['NT'], mostRows: 4 * rows } : { leastRows: rows }),
  };
}

/** Few rows; `columns` columns a workgroup. */
function columns(count: number, depth: number): Variant {
  return {
    name: `columns ${count}`,
    kernel: columnsKernel,
    constants: { COLUMNS: count, DEPTH: depth },
    rows: 64 / count,
    columns: count,
    layouts: ['NT'],
    mostRows: 16,
  };
}

/** All of them, the base kernel first. */
export const MATMUL_VARIANTS: readonly Variant[] = [
  BASE_MATMUL,
  registers(8, 1),
  registers(4, 2),
  tiled(32, 4, 32),
  tiled(64, 4, 16),
  tiled(64, 8, 16),
  split(16, 16),
  split(32, 4),
  columns(8, 128),
  columns(16, 64),
  lanes(8, 1),
  lanes(8, 4),
  lanes(8, 16),
  lanes(8, 16, true),
  lanes(64, 8),
];

/** Whether a variant can do a problem at all, on such a device. */
export function canDo(
  variant: MatmulVariant,
  { layout, storage }: MatmulProblem,
  features: ReadonlySet<string>,
): boolean {
  const { layouts, storages, subgroups = false } = variant as Variant;
  return (
    (!layouts || layouts.includes(layout)) &&
    (!storages || storages.includes(storage)) &&
    (!subgroups || features.has('subgroups'))
  );
}

/** Whether it is worth a try on a GPU, for a product of so many rows. */
export function isPromising(variant: MatmulVariant, { n, k }: MatmulProblem, rows: number): boolean {
  const { leastRows = 1, mostRows = Infinity, leastColumns = 1, software = false } = variant as Variant;
  const { mostElements = Infinity, leastSum = 1 } = variant as Variant;
  return (
    !software && rows >= leastRows && rows <= mostRows && n >= leastColumns && rows * n <= mostElements && k >= leastSum
  );
}

/**
 * What is fastest on software adapters, measured once (docs/PERFORMANCE.md): there compiling takes longer than most
 * runs would gain from measuring again.
 * @returns the variant's name; undefined for any other adapter
 */
export function presetFor(adapterName: string, { layout, storage }: MatmulProblem, rows: number): string | undefined {
  if (isLavapipe(adapterName)) {
    if (rows < 4 && layout === 'NT') return 'lanes 8 by 1';
    if (rows < 8) return 'lanes 8 by 4';
    return storage === 'f32' ? 'lanes 8 by 16, single' : 'lanes 8 by 16';
  }
  if (isSoftware(adapterName)) return BASE_MATMUL.name;
  return undefined;
}
