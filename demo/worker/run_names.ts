/** @file What runs are called where they are kept. */
import type { TrainConfig } from '../../src/rl';
import type { RunShelf } from './shelf';

/** A name that no run has yet: `name`, else `name-2` and so on. */
export async function freeName(shelf: RunShelf, name: string): Promise<string> {
  const taken = new Set(await shelf.names());
  for (let i = 1; ; i++) {
    const candidate = i === 1 ? name : `${name}-${i}`;
    if (!taken.has(candidate)) return candidate;
  }
}

/** `even-digits-seed1-20250131-170501`, in the user's time. */
export function runName({ env, seed }: TrainConfig, at: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  return `${env}-seed${seed}-${day}-${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
}
