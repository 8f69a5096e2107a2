/** @file The page's picture of the models of this browser: what is here, what is asked about, what is on its way. */
import { DEFAULT_ENDPOINT, DEFAULT_REVISION, HUB_PREFIX } from '../../../src/model';
import type { CachedModel, ModelProgress } from '../../../src/model';
import type { ModelAbout, ModelsNews, ShownFolder, ShownRunModel } from '../../models_protocol';
import type { Trainer } from '../../trainer.svelte';
import type { Chosen } from './dropped';
import { hubOf } from './hub';

/** `hf:owner/name` or `hf:owner/name@revision` of a model that was downloaded. */
export function startName({ id, revision }: CachedModel): string {
  return HUB_PREFIX + (revision === DEFAULT_REVISION ? id : `${id}@${revision}`);
}

export class ModelsState {
  /** Null before the worker has said. */
  cached = $state.raw<readonly CachedModel[] | null>(null);
  folders = $state.raw<readonly ShownFolder[]>([]);
  /** What runs have kept. */
  runs = $state.raw<readonly ShownRunModel[]>([]);
  problems = $state.raw<readonly string[]>([]);
  lasts = $state(true);
  free = $state<number | null>(null);
  /** The model that was asked about last. */
  about = $state.raw<ModelAbout | null>(null);
  /** What is waited for. */
  busy = $state<'' | 'looking' | 'downloading' | 'reading'>('');
  progress = $state.raw<ModelProgress | null>(null);
  problem = $state('');
  said = $state('');
  readonly endpoint: string;

  constructor(
    private readonly trainer: Trainer,
    search = location.search,
  ) {
    this.endpoint = hubOf(search);
    trainer.onModels = (news) => this.#hear(news);
    this.list();
  }

  get isUsualHub(): boolean {
    return this.endpoint === DEFAULT_ENDPOINT;
  }

  list(): void {
    this.trainer.askModels({ what: 'list' });
  }

  look(name: string, token: string): void {
    this.#begin('looking');
    this.about = null;
    this.trainer.askModels({ what: 'look', name, access: { endpoint: this.endpoint, token } });
  }

  download(name: string, token: string): void {
    this.#begin('downloading');
    this.progress = null;
    // So that the browser does not clear it away; what it answers changes nothing here.
    void navigator.storage?.persist?.();
    this.trainer.askModels({ what: 'download', name, access: { endpoint: this.endpoint, token } });
  }

  cancel(): void {
    this.trainer.askModels({ what: 'cancel' });
  }

  add({ folder, files }: Chosen): void {
    this.#begin('reading');
    this.about = null;
    this.trainer.askModels({ what: 'add', folder, files });
  }

  delete(key: string): void {
    this.problem = '';
    this.trainer.askModels({ what: 'delete', key });
  }

  forget(name: string): void {
    this.problem = '';
    this.trainer.askModels({ what: 'forget', name });
  }

  /** Says what went wrong before the worker was asked. */
  complain(error: unknown): void {
    this.problem = error instanceof Error ? error.message : String(error);
  }

  #begin(what: 'looking' | 'downloading' | 'reading'): void {
    this.busy = what;
    this.problem = '';
    this.said = '';
  }

  #hear(news: ModelsNews): void {
    switch (news.what) {
      case 'list':
        this.cached = news.cached;
        this.folders = news.folders;
        this.runs = news.runs;
        this.lasts = news.lasts;
        this.free = news.free;
        this.problems = news.problems;
        this.trainer.startChoices = [
          ...news.cached.filter(({ complete }) => complete).map((model) => ({ ...model, name: startName(model) })),
          ...news.folders,
        ].map(({ name, bytes }) => ({ name, bytes }));
        break;
      case 'about':
        this.about = news.about;
        if (this.busy === 'looking') this.busy = '';
        break;
      case 'progress':
        this.progress = news.progress;
        break;
      case 'ready':
        this.about = news.about;
        this.said = `${news.about.name} is here.`;
        this.#end();
        break;
      case 'deleted':
        if (this.about?.name === news.name) this.about = null;
        this.said = `${news.name} is deleted.`;
        break;
      case 'problem':
        this.problem = news.message;
        this.#end();
        break;
      case 'cancelled':
        if (this.busy === 'downloading') {
          this.said = `Broken off.${news.kept ? ' What has come is kept: go on when you like.' : ''}`;
        }
        this.#end();
        break;
      case 'gone':
        if (this.busy !== '') this.problem = 'the worker was lost, and what was under way with it';
        this.folders = [];
        this.#end();
        break;
    }
  }

  #end(): void {
    this.busy = '';
    this.progress = null;
  }
}
