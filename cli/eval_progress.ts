/** @file The progress of an evaluation on standard error. */
import type { EvalProgress } from '../src/envs';
import { duration } from './text';

/** Progress on standard error: one line that changes on a terminal, a line every few seconds elsewhere. */
export class EvalProgressLine {
  #shownAt = -Infinity;
  #open = false;

  show(title: string, { done, total, errors, rate, secondsLeft }: EvalProgress): void {
    const { isTTY } = process.stderr;
    const now = performance.now();
    if (now - this.#shownAt < (isTTY ? 100 : 5000) && done < total) return;
    this.#shownAt = now;
    const left = done === total ? 'done' : secondsLeft === null ? '' : `${duration(secondsLeft)} left`;
    const failed = errors > 0 ? `  ${errors} FAILED` : '';
    const line = `${title}: ${done}/${total}  ${rate.toFixed(rate < 10 ? 1 : 0)} rollouts/s${failed}  ${left}`;
    process.stderr.write(isTTY ? `\r\u001b[2K${line}` : `${line}\n`);
    this.#open = isTTY;
  }

  /** Says something else in between. */
  say(line: string): void {
    this.end();
    process.stderr.write(`${line}\n`);
  }

  end(): void {
    if (this.#open) process.stderr.write('\n');
    this.#open = false;
  }
}
