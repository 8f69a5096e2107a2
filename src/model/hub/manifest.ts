/**
 * @file What a folder of the cache says of itself. `download.json` is there from the first byte on: what is being
 * downloaded. `manifest.json` takes its place when all files are there and right: only then is the folder a model.
 */
import { encodeJson } from '../files';
import type { FolderStorage } from '../folder_storage';

export const MANIFEST = 'manifest.json';
export const DOWNLOAD = 'download.json';

/** A file as it was checked when it came. */
export interface ManifestFile {
  path: string;
  bytes: number;
  /** `sha256:...` or `git-sha1:...` */
  hash: string;
}

export interface ModelManifest {
  /** `owner/name` */
  id: string;
  /** The revision that was asked for. */
  revision: string;
  commit: string;
  endpoint: string;
  /** When it was asked for, and when it was complete; ISO 8601. */
  date: string;
  /** Without those that nobody has got to yet. */
  files: ManifestFile[];
  /** While it is downloaded: versions of partial files, as the server names them. */
  tags?: Record<string, string>;
}

/** @returns undefined where there is none, or none that is whole: cut off while it was being written */
export async function readManifest(storage: FolderStorage, file: string): Promise<ModelManifest | undefined> {
  const bytes = await storage.read(file);
  const json = bytes && wholeJson(bytes);
  const { id, revision, commit, endpoint, date, files } = Object(json) as Partial<ModelManifest>;
  const texts = [id, revision, commit, endpoint, date];
  return texts.every((text) => typeof text === 'string') && Array.isArray(files) ? (json as ModelManifest) : undefined;
}

function wholeJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

export function writeManifest(storage: FolderStorage, file: string, manifest: ModelManifest): Promise<void> {
  return storage.write(file, encodeJson(manifest));
}
