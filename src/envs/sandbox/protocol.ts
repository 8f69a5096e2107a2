/** @file What a sandbox and the worker that runs its code say to each other. All of it is plain data. */
import type { RandomKey } from '../../random';

/**
 * How much a run may use, besides the memory that a sandbox has (SANDBOX_MEMORY_BYTES). None of it is measured by a clock, so
 * that the same code always ends in the same way.
 */
export interface SandboxLimits {
  /** Interpreter steps of one run: turns of a loop, calls, moves of a regular expression. Counted in ten thousands. */
  steps: number;
  /** Bytes of the interpreter's own stack: some 180 for each call that is under way. */
  stackBytes: number;
  /** Characters of code that one run may have. */
  codeLength: number;
  /** Characters of what is printed, and again of the value, that are kept; where more came, the text says so. */
  outputLength: number;
}

export const DEFAULT_SANDBOX_LIMITS: SandboxLimits = {
  steps: 5_000_000,
  stackBytes: 64 << 10,
  codeLength: 50_000,
  outputLength: 10_000,
};

/** More would overflow the stack of the browser's worker before the interpreter notices. */
const MAX_STACK_BYTES = 64 << 10;

/**
 * The limits of a sandbox: those that are given, and the defaults.
 * @throws TypeError naming the limit that there is not, or that cannot be
 */
export function sandboxLimits(given: Partial<SandboxLimits>): SandboxLimits {
  const limits = { ...DEFAULT_SANDBOX_LIMITS, ...given };
  for (const [name, value] of Object.entries(limits)) {
    const known = Object.keys(DEFAULT_SANDBOX_LIMITS);
    if (!known.includes(name)) throw new TypeError(`sandbox limits: there is no ${name}, only ${known.join(', ')}`);
    if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`sandbox limits: ${name} ${value} is no count`);
  }
  if (limits.stackBytes > MAX_STACK_BYTES) {
    throw new TypeError(`sandbox limits: stackBytes ${limits.stackBytes} is more than ${MAX_STACK_BYTES}`);
  }
  return limits;
}

/**
 * What ended a run before its time. `clock` and `crash` are the backstop: code that holds the interpreter up where it does
 * not count, or breaks it. After any of them the sandbox is empty again.
 */
export type Stop = 'steps' | 'memory' | 'clock' | 'crash';

/** What came of a run, as text. */
export interface RunResult {
  /** What the code printed. */
  stdout: string;
  /** The value of its last expression; absent where it did not get there. */
  value?: string;
  /** What it threw and did not catch, or what stopped it. */
  error?: string;
  stopped?: Stop;
  /** Whether some of the text had to be left out; it says so itself. */
  cut: boolean;
  /** Steps taken, in ten thousands. */
  steps: number;
}

export type SandboxRequest =
  | { type: 'open'; sandbox: number; limits: SandboxLimits; key: RandomKey }
  | { type: 'run'; sandbox: number; code: string }
  | { type: 'close'; sandbox: number };

export type SandboxReply =
  /** The interpreter is loaded. */
  | { type: 'ready' }
  /** `heldBytes`: what is kept of the sandboxes' memory, all of them together. */
  | { type: 'ran'; result: RunResult; heldBytes: number }
  /** The interpreter itself has failed: nothing in this worker is of use any more. */
  | { type: 'broken'; message: string };
