/** @file run.json: what a run is. Written when it starts, never changed after. */
import { encodeJson } from '../../model';
import { ConfigError, resolveConfig } from '../config';
import type { TrainConfig } from '../config';
import { ABOUT, RUN_FORMAT, VERSION, decodeText } from './layout';
import { RunFolderError } from './storage';
import type { RunStorage } from './storage';

export interface RunAbout {
  format: number;
  /** Version of Terrarium that started it. */
  terrarium: string;
  /** ISO 8601. */
  created: string;
  /** The GPU it was started on: another one may give other bits. */
  adapter: string;
  /** The library's environments have Terrarium's version, one's own none. */
  environment: { name: string; version: string | null };
  seed: number;
  /** Where it was forked from. */
  parent: { run: string; step: number } | null;
  /** Every setting. */
  config: TrainConfig;
}

/** Names of a foreign folder's contents that are listed in a message. */
const LISTED = 3;

/** What is known of a run when it starts. */
export function newAbout(
  config: TrainConfig,
  facts: Pick<RunAbout, 'adapter' | 'parent'> & { ownEnvironment?: boolean; created?: string },
): RunAbout {
  return {
    format: RUN_FORMAT,
    terrarium: VERSION,
    created: facts.created ?? new Date().toISOString(),
    adapter: facts.adapter,
    environment: { name: config.env, version: facts.ownEnvironment ? null : VERSION },
    seed: config.seed,
    parent: facts.parent,
    config,
  };
}

export function writeAbout(storage: RunStorage, about: RunAbout): Promise<void> {
  return storage.write(ABOUT, encodeJson(about));
}

/**
 * Reads and checks run.json.
 * @throws RunFolderError when the folder is no run, or one of another version
 */
export async function readAbout(storage: RunStorage): Promise<RunAbout> {
  const { name } = storage;
  const bytes = await storage.read(ABOUT);
  if (!bytes) {
    const names = [...new Set((await storage.files()).map(({ path }) => path.split('/')[0]!))];
    const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
    const holds = names.length > 0 ? `it holds ${names.slice(0, LISTED).join(', ')}${more}` : 'nothing is there';
    throw new RunFolderError(`${name} is not a run: it has no ${ABOUT} (${holds})`);
  }
  let value: Partial<RunAbout> | null;
  try {
    value = JSON.parse(decodeText(bytes)) as Partial<RunAbout> | null;
  } catch (error) {
    throw new RunFolderError(`${name}/${ABOUT} is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || !('format' in value)) {
    throw new RunFolderError(`${name}/${ABOUT} is not that of a run: it has no format`);
  }
  if (value.format !== RUN_FORMAT) {
    throw new RunFolderError(
      `${name} is a run of format ${JSON.stringify(value.format)}, written by Terrarium ${String(value.terrarium)}; ` +
        `this is ${VERSION}, which reads format ${RUN_FORMAT}`,
    );
  }
  const { terrarium, created, adapter, environment, seed, parent = null, config } = value;
  const isWhole =
    [terrarium, created, adapter, environment?.name].every((text) => typeof text === 'string') &&
    typeof seed === 'number' &&
    typeof config === 'object' &&
    !Number.isNaN(Date.parse(created!));
  if (!isWhole)
    throw new RunFolderError(`${name}/${ABOUT} is not whole: something of what a run says of itself is missing`);
  try {
    return { ...(value as RunAbout), parent, config: resolveConfig(config) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new RunFolderError(`${name}/${ABOUT}: ${error.message}`);
  }
}
