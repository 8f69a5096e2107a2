/**
 * @file Places a program's own tensors in memory, before anything runs.
 *
 * Two rules. WebGPU: one dispatch may not bind one buffer both `read` and `read_write`, so a tensor that a dispatch
 * writes lies in another arena than every tensor that the dispatch only reads. Economy: tensors whose lifetimes do not
 * overlap may share bytes. Arenas are found by greedy colouring, offsets by first fit; both are deterministic.
 */
import { align } from './tensor';
import type { Tensor } from './tensor';

/** What one dispatch does to tensors. */
export interface Use {
  reads: readonly Tensor[];
  writes: readonly Tensor[];
}

export interface Plan {
  /** Bytes of each arena. */
  arenaBytes: number[];
  /** Where each tensor lies. */
  places: Map<Tensor, { arena: number; offset: number }>;
}

/**
 * @param tensors those to place; others in `uses` (parameters, inputs) are ignored
 * @param uses one per dispatch, in the order of execution
 * @param pinned tensors that keep their bytes for the whole program: read back after it, or carried to the next run
 * @param maxArenaBytes no arena grows past this
 */
export function plan(
  tensors: ReadonlySet<Tensor>,
  uses: readonly Use[],
  pinned: ReadonlySet<Tensor>,
  maxArenaBytes: number,
): Plan {
  const lifetimes = new Map<Tensor, { first: number; last: number }>();
  const conflicts = new Map<Tensor, Set<Tensor>>();
  for (const tensor of tensors) {
    conflicts.set(tensor, new Set());
    if (pinned.has(tensor)) lifetimes.set(tensor, { first: 0, last: Infinity });
  }
  uses.forEach(({ reads, writes }, step) => {
    for (const tensor of [...reads, ...writes]) {
      if (!tensors.has(tensor)) continue;
      const lifetime = lifetimes.get(tensor);
      if (!lifetime) lifetimes.set(tensor, { first: step, last: step });
      else if (lifetime.last < step) lifetime.last = step;
    }
    for (const read of reads) {
      for (const write of writes) {
        if (!tensors.has(read) || !tensors.has(write)) continue;
        conflicts.get(read)!.add(write);
        conflicts.get(write)!.add(read);
      }
    }
  });

  const arenaBytes: number[] = [];
  const residents: { first: number; last: number; begin: number; end: number }[][] = [];
  const places: Plan['places'] = new Map();
  for (const tensor of tensors) {
    const lifetime = lifetimes.get(tensor) ?? { first: 0, last: Infinity };
    const size = Math.max(align(tensor.byteLength), align(4));
    const forbidden = new Set([...conflicts.get(tensor)!].map((other) => places.get(other)?.arena));
    for (let arena = 0; ; arena++) {
      if (forbidden.has(arena)) continue;
      const neighbours = (residents[arena] ??= []);
      arenaBytes[arena] ??= 0;
      const offset = firstFit(neighbours, lifetime, size);
      if (offset + size > maxArenaBytes && neighbours.length > 0) continue;
      neighbours.push({ ...lifetime, begin: offset, end: offset + size });
      arenaBytes[arena] = Math.max(arenaBytes[arena]!, offset + size);
      places.set(tensor, { arena, offset });
      break;
    }
  }
  return { arenaBytes, places };
}

/** The lowest offset at which `size` bytes are free of every resident alive at the same time. */
function firstFit(
  residents: readonly { first: number; last: number; begin: number; end: number }[],
  lifetime: { first: number; last: number },
  size: number,
): number {
  const alive = residents
    .filter((other) => other.first <= lifetime.last && lifetime.first <= other.last)
    .sort((a, b) => a.begin - b.begin);
  let offset = 0;
  for (const other of alive) {
    if (other.begin - offset >= size) break;
    offset = Math.max(offset, other.end);
  }
  return offset;
}
