/** @file The page's picture of a profile: whether one is being taken, what went on meanwhile, and the last one. */
import type { ProfileNews, ShownProfile, WorkCounts } from '../../profile_protocol';
import type { Trainer } from '../../trainer.svelte';

const NOTHING: WorkCounts = { step: 0, warmUp: 0, evaluation: 0, message: 0 };

export class ProfileState {
  /** `starting` and `stopping` wait for what is in progress. */
  status = $state<'off' | 'starting' | 'recording' | 'stopping'>('off');
  /** What has come to its end since the profile began. */
  counts = $state.raw<WorkCounts>(NOTHING);
  /** The last one. */
  shown = $state.raw<ShownProfile | null>(null);
  /** Why there is none. */
  problem = $state('');

  constructor(private readonly trainer: Pick<Trainer, 'askProfile' | 'onProfile'>) {
    trainer.onProfile = (news) => this.#hear(news);
  }

  /** Starts a profile, or ends the one that is being taken. */
  toggle(): void {
    if (this.status === 'off') {
      this.status = 'starting';
      this.counts = NOTHING;
      this.shown = null;
      this.problem = '';
      this.trainer.askProfile({ what: 'start' });
    } else if (this.status === 'recording') {
      this.status = 'stopping';
      this.trainer.askProfile({ what: 'stop' });
    }
  }

  #hear(news: ProfileNews): void {
    switch (news.what) {
      case 'started':
        this.status = 'recording';
        break;
      case 'counted':
        this.counts = news.counts;
        break;
      case 'done':
        this.status = 'off';
        this.shown = news.shown;
        break;
      case 'ended':
        this.status = 'off';
        this.problem = `No profile: ${news.message}`;
        break;
      case 'gone':
        if (this.status !== 'off') this.problem = 'No profile: the trainer worker has ended.';
        this.status = 'off';
        break;
    }
  }
}
