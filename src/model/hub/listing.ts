/** @file What a hub has of a model: a commit, its files with sizes and hashes, and those of them that we need. */
import { parseIndex, INDEX_FILE, WEIGHTS_FILE } from '../checkpoint';
import { CheckpointError } from '../errors';
import { DEFAULT_REVISION } from './address';
import type { ModelAddress } from './address';
import type { Hub } from './client';
import { HubError } from './errors';

/** How a file's bytes are known to be right: large files by their SHA-256, the others by git's hash of a blob. */
export interface FileHash {
  algorithm: 'sha256' | 'git-sha1';
  /** Hexadecimal. */
  value: string;
}

export interface HubFile {
  path: string;
  bytes: number;
  hash: FileHash;
}

/** A model at one commit. */
export interface HubListing extends ModelAddress {
  /** Of the hub where it was found. */
  endpoint: string;
  /** Full hash: what is asked for from here on, so that no two files are of two versions. */
  commit: string;
  files: ReadonlyMap<string, HubFile>;
}

/** Small files beside the weights that say what the model is and how it reads and writes text. */
const TEXT_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
];

/** Weights in formats that we do not read. */
const OTHER_WEIGHTS = /\.(bin|pth|pt|ckpt|gguf|onnx|h5|msgpack)$/;

const SHA1 = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** How a model at a commit is called in messages and results. */
export function nameOf({ id, commit }: { id: string; commit: string }): string {
  return `hf:${id}@${commit.slice(0, 12)}`;
}

/**
 * Asks the hub for the commit that a revision stands for, and for its files.
 * @throws HubError; the signal's reason
 */
export async function listModel(hub: Hub, { id, revision }: ModelAddress, signal: AbortSignal): Promise<HubListing> {
  const { listFiles, modelInfo } = await import('./lazy-library');
  const fetchFromHub = ((url: string) =>
    hub.persist(id, signal, () =>
      hub.get(url, { id, revision }, { accept: 'application/json' }, signal),
    )) as typeof fetch;
  const common = { hubUrl: hub.endpoint, fetch: fetchFromHub };
  const odd = (what: string) =>
    new HubError('HubAnswerError', `${hub.endpoint} says of ${id} what no hub says: ${what}`);
  try {
    const { sha } = await modelInfo({ name: id, revision, additionalFields: ['sha'], ...common });
    if (!SHA1.test(sha)) throw odd(`commit ${JSON.stringify(sha)}`);
    const files = new Map<string, HubFile>();
    const repo = { type: 'model', name: id } as const;
    for await (const { type, path, size, oid, lfs } of listFiles({
      repo,
      revision: sha,
      recursive: false,
      ...common,
    })) {
      if (type !== 'file') continue;
      const hash: FileHash = lfs
        ? { algorithm: 'sha256', value: String(lfs.oid) }
        : { algorithm: 'git-sha1', value: String(oid) };
      const isHash = lfs ? SHA256 : SHA1;
      if (typeof path !== 'string' || !Number.isSafeInteger(size) || !isHash.test(hash.value)) {
        throw odd(`file ${JSON.stringify(path)} of ${size} bytes with hash ${JSON.stringify(hash.value)}`);
      }
      files.set(path, { path, bytes: size, hash });
    }
    return { id, revision, endpoint: hub.endpoint, commit: sha, files };
  } catch (error) {
    signal.throwIfAborted();
    // A page of HTML where JSON was expected, or JSON of another kind: something else lives at this address.
    if (error instanceof SyntaxError || error instanceof TypeError) throw odd(error.message);
    throw error;
  }
}

/**
 * The files needed for a model's text and configuration.
 * @throws CheckpointError naming the file that is missing, or the formats that are there in place of safetensors
 */
export function chooseTextFiles(listing: HubListing): HubFile[] {
  const { files } = listing;
  const name = nameOf(listing);
  if (!files.has('config.json')) throw new CheckpointError(`${name}: config.json is missing`);
  if (!files.has(INDEX_FILE) && !files.has(WEIGHTS_FILE)) {
    const others = [...files.keys()].filter((path) => OTHER_WEIGHTS.test(path));
    const there = others.length > 0 ? `; it has ${others.slice(0, 5).join(', ')}, which we do not read` : '';
    throw new CheckpointError(`${name}: ${WEIGHTS_FILE} is missing${there}`);
  }
  if (!files.has('tokenizer.json')) throw new CheckpointError(`${name}: tokenizer.json is missing`);
  return [...TEXT_FILES, INDEX_FILE].flatMap((path) => files.get(path) ?? []);
}

/**
 * The files that hold the weights: one, or those that the index names.
 * @param index the parsed model.safetensors.index.json where there is one
 * @throws CheckpointError naming the shard that is missing
 */
export function chooseWeightFiles(listing: HubListing, index: unknown): HubFile[] {
  const { files } = listing;
  const name = nameOf(listing);
  if (!files.has(INDEX_FILE)) return [files.get(WEIGHTS_FILE)!];
  return [...parseIndex(index, `${name}/${INDEX_FILE}`).keys()].map((shard) => {
    const file = files.get(shard);
    if (!file) throw new CheckpointError(`${name}: ${shard} is missing, which ${INDEX_FILE} names`);
    return file;
  });
}

/** `owner/name`, with the revision where it is not the usual one. */
export function asked({ id, revision }: ModelAddress): string {
  return revision === DEFAULT_REVISION ? id : `${id}@${revision}`;
}
