/** @file A run as lines for people. */
import { formatBytes } from '../src/kernels';
import { describeCut, remedyText } from '../src/rl';
import type { Metric } from '../src/rl';

/** One line per event for people, with rate and time left. */
export class ProgressLine {
  #times: number[] = [];

  show(event: Metric, steps: number): void {
    const line = this.describe(event, steps);
    if (line) process.stderr.write(`${line}\n`);
  }

  /** The line for an event of a run of so many steps; undefined where it deserves none. */
  describe(event: Metric, steps: number): string | undefined {
    const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
    switch (event.event) {
      case 'start':
        return (
          `${event.env}, seed ${event.seed}, ${event.parameters} parameters from ${event.start}, ` +
          (event.trained === event.parameters ? '' : `an adapter of ${event.trained} is trained, `) +
          `on ${event.adapter}, ` +
          `${formatBytes(event.memory.bytes)} of its memory (${describeCut(event.memory)})`
        );
      case 'sft':
        if (event.t1 === null && event.step % 10 !== 0) return undefined;
        return (
          `sft ${event.phase} ${event.step}/${event.steps}  loss ${event.update.loss.toFixed(3)}` +
          (event.t1 === null ? '' : `  T=1 ${percent(event.t1)}`)
        );
      case 'eval':
        return `eval ${event.when}  T=1 ${percent(event.result.t1)}  greedy ${percent(event.result.greedy)}`;
      case 'step': {
        const seconds = event.rolloutSeconds + event.updateSeconds;
        this.#times.push(seconds);
        const average = this.#times.reduce((sum, value) => sum + value, 0) / this.#times.length;
        const left = average * (steps - event.step);
        return (
          `step ${event.step}/${steps}  reward ${event.reward.mean.toFixed(3)}  ` +
          `signal ${event.groupsWithSignal}/${event.groups}  length ${event.completionLength.toFixed(1)}  ` +
          `entropy ${event.update ? event.update.entropy.toFixed(3) : '-'}  ` +
          `${Math.round(event.tokensPerSecond)} tokens/s  ${seconds.toFixed(1)} s/step  ` +
          `GPU idle ${Math.round((100 * event.idleSeconds) / seconds)}%  ${left.toFixed(0)} s left` +
          (event.prefixBreaks > 0 ? `  ${event.prefixBreaks} turns rendered anew` : '') +
          (event.errors > 0 ? `  ${event.errors} FAILED ROLLOUTS` : '')
        );
      }
      case 'diagnosis':
        if (event.state === 'over') return `diagnosis: over since step ${event.step}: ${event.title}`;
        return `diagnosis, since step ${event.since}: ${event.title}. ${event.message}\n  ${remedyText(event)}`;
      case 'recovered':
        return `${event.message}; went on with a new device from step ${event.step}`;
      case 'done':
        return `done in ${event.seconds.toFixed(1)} s  weights ${event.weights_sha256.slice(0, 16)}`;
    }
  }
}
