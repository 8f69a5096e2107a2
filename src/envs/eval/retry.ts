/** @file Waiting before another try: longer each time, and not everybody at once. */
import { subKey } from '../../random';
import type { Random, RandomKey } from '../../random';
import { unlessAborted } from '../deadline';

/** Last step of the path to the random numbers of a back-off: no PURPOSE, so no rollout's own numbers are touched. */
const JITTER = 1000;

const LONGEST_SECONDS = 60;

/** Key of a rollout's waiting times. */
export function jitterKey(key: RandomKey): RandomKey {
  return subKey(key, JITTER);
}

/**
 * Seconds to wait after failed attempt number `attempt` (from 0): doubles each time, half to one and a half of that by
 * chance, a minute at most.
 */
export function backOff(attempt: number, firstSeconds: number, random: Random): number {
  return Math.min(LONGEST_SECONDS, firstSeconds * 2 ** attempt * (0.5 + random.next()));
}

/** @throws the signal's reason */
export async function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await unlessAborted(new Promise<void>((resolve) => (timer = setTimeout(resolve, seconds * 1000))), signal);
  } finally {
    clearTimeout(timer);
  }
}
