/**
 * @file Profiles of the device, one at a time. They begin and end between the events of the run, in the session's queue; a
 * device that is lost ends one at once. Loaded when the first is asked for.
 */
import { DeviceLostError, startProfile } from '../../../src/kernels';
import type { Gpu, RunningProfile } from '../../../src/kernels';
import type { ProfileNews, ProfileRequest, ProfiledWork, ShownProfile } from '../../profile_protocol';

export interface ProfileHost {
  /** @throws what keeps one from being had */
  gpu: () => Promise<Gpu>;
  post: (news: ProfileNews) => void;
}

/** A profile that is being taken. */
interface Recording {
  gpu: Gpu;
  running: RunningProfile;
  counts: Record<ProfiledWork, number>;
  /** Where the host's clock stood. */
  since: number;
  activeMs: number;
}

export class ProfileDesk {
  #recording: Recording | undefined;

  constructor(private readonly host: ProfileHost) {}

  /** To be called in turn. What goes wrong is told, and is no end of anything else. */
  async receive({ what }: ProfileRequest): Promise<void> {
    try {
      if (what === 'start') await this.#start();
      else if (this.#recording) await this.#stop(this.#recording);
    } catch (error) {
      this.#end(error instanceof Error ? error.message : String(error));
    }
  }

  /** Some work came to its end. */
  saw(work: ProfiledWork): void {
    if (!this.#recording) return;
    const { counts } = this.#recording;
    counts[work]++;
    this.host.post({ what: 'counted', counts: { ...counts } });
  }

  /** The worker had something to do from then until now. */
  wasBusy(started: number): void {
    if (this.#recording) this.#recording.activeMs += performance.now() - Math.max(started, this.#recording.since);
  }

  /** Ends a profile without figures. */
  async abandon(message: string): Promise<void> {
    const recording = this.#recording;
    if (!recording) return;
    this.#end(message);
    // Readbacks fail with the device that is lost just now; whoever asks for the next one hears of it.
    await recording.running.cancel().catch(() => undefined);
  }

  async #start(): Promise<void> {
    if (this.#recording) return;
    const gpu = await this.host.gpu();
    const running = await startProfile(gpu);
    const counts = { step: 0, warmUp: 0, evaluation: 0, message: 0 };
    const recording = { gpu, running, counts, since: performance.now(), activeMs: 0 };
    this.#recording = recording;
    this.host.post({ what: 'started' });
    void gpu.device.lost.then(({ reason, message }) => {
      if (this.#recording === recording) this.#end(new DeviceLostError(reason, message).message);
    });
  }

  async #stop(recording: Recording): Promise<void> {
    const { gpu, running, counts, activeMs } = recording;
    const { dispatches } = gpu.stats;
    const profile = await running.stop();
    if (this.#recording !== recording) return; // the device was lost meanwhile, and that was said
    this.#recording = undefined;
    const { records = [], problems = [] } = gpu.tuner ?? {};
    const shown: ShownProfile = {
      taken: new Date().toISOString(),
      profile,
      counts,
      activeSeconds: activeMs / 1000,
      disturbed: gpu.stats.dispatches > dispatches,
      tuning: { records: [...records], problems: [...problems] },
    };
    this.host.post({ what: 'done', shown });
  }

  #end(message: string): void {
    this.#recording = undefined;
    this.host.post({ what: 'ended', message });
  }
}
