/** @file What page and worker say about models: those of a hub, of folders, and those that runs have kept. */
import type { CachedModel, ModelFamily, ModelProgress } from '../src/model';
import type { UsePlan } from '../src/rl';

/** Which hub, and what opens its doors. The token is kept in memory only; '' is none. */
export interface HubAccess {
  endpoint: string;
  token: string;
}

export type ModelsRequest =
  | { what: 'list' }
  /** What a model is, and what can be done with it here; of one that is not here the hub is asked. */
  | { what: 'look'; name: string; access: HubAccess }
  | { what: 'download'; name: string; access: HubAccess }
  /** Breaks off what `look` or `download` is about; what has come is kept. */
  | { what: 'cancel' }
  | { what: 'delete'; key: string }
  /** The files of a folder, or one .zip (`folder` is null then). They are read where they lie. */
  | { what: 'add'; folder: string | null; files: File[] }
  | { what: 'forget'; name: string };

/** A model whose configuration was read. */
export interface ModelAbout {
  /** `hf:owner/name`, with `@revision` where it is not the usual one, or `folder:name`: what `start` is set to. */
  name: string;
  family: ModelFamily;
  parameters: number;
  layers: number;
  vocabulary: number;
  /** Longest sequence that it was made for, in tokens. */
  context: number;
  /** Of all its files. */
  bytes: number;
  /** Here, and can be used at once. */
  ready: boolean;
  /** Inference, LoRA, full training; empty where there is no device. */
  plans: UsePlan[];
  /** Of a folder that holds an adapter: what lies below it. */
  adapter: { base: string; rank: number } | null;
}

/** A folder that was chosen or dropped, as long as the page is open. */
export interface ShownFolder {
  /** `folder:name` */
  name: string;
  bytes: number;
  adapter: { base: string; rank: number } | null;
}

/** What a run has kept of its model. */
export interface ShownRunModel {
  run: string;
  step: number;
  /** Of an adapter; null for a whole model. */
  rank: number | null;
  /** What lies below an adapter. */
  base: string | null;
}

export type ModelsNews =
  | {
      what: 'list';
      cached: CachedModel[];
      folders: ShownFolder[];
      runs: ShownRunModel[];
      /** They are there after a reload as well. */
      lasts: boolean;
      /** Bytes that the browser still gives, where it says so. */
      free: number | null;
      /** What could not be read of runs. */
      problems: string[];
    }
  | { what: 'about'; about: ModelAbout }
  | { what: 'progress'; progress: ModelProgress }
  /** Is here now. */
  | { what: 'ready'; about: ModelAbout }
  | { what: 'deleted'; name: string }
  /** What was asked for came to nothing. */
  | { what: 'problem'; message: string }
  /** Broken off by the user. `kept`: what has come of a model is here. */
  | { what: 'cancelled'; kept: boolean }
  /** The worker is no more, and every folder and download with it. */
  | { what: 'gone' };
