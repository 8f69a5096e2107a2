/** @file What page and worker say about profiles of the device. */
import type { Profile, TuningRecord } from '../src/kernels';

export type ProfileRequest =
  /** Records from the next event on. */
  | { what: 'start' }
  /** After what is in progress: ends the recording, and measures what the adapter does at best. */
  | { what: 'stop' };

/** What may go on during a profile. */
export type ProfiledWork = 'step' | 'warmUp' | 'evaluation' | 'message';

export type WorkCounts = Readonly<Record<ProfiledWork, number>>;

/** A finished profile, as the page shows it and as it is saved. */
export interface ShownProfile {
  /** When it was finished: ISO 8601. */
  taken: string;
  profile: Profile;
  /** What came to its end between start and stop. */
  counts: WorkCounts;
  /** Seconds between start and stop in which the worker had something to do; pauses do not count. */
  activeSeconds: number;
  /** Something else ran on the GPU while the ceilings were measured: they are too low. */
  disturbed: boolean;
  /** How kernels were chosen on this device, and what went wrong with it. */
  tuning: { records: TuningRecord[]; problems: string[] };
}

export type ProfileNews =
  | { what: 'started' }
  | { what: 'counted'; counts: WorkCounts }
  | { what: 'done'; shown: ShownProfile }
  /** There will be no profile. */
  | { what: 'ended'; message: string }
  /** The worker is no more. */
  | { what: 'gone' };
