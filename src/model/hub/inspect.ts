/** @file What a hub's model is, before anything large of it is downloaded. */
import { INDEX_FILE } from '../checkpoint';
import { countParameters, parseModelConfig } from '../config';
import type { ModelConfig } from '../config';
import { parseJson } from '../files';
import type { ModelAddress } from './address';
import { Hub } from './client';
import type { HubOptions } from './client';
import { HubError } from './errors';
import { hasherOf } from './hash';
import { chooseTextFiles, chooseWeightFiles, listModel, nameOf } from './listing';
import type { HubFile, HubListing } from './listing';

export interface InspectedModel extends ModelAddress {
  commit: string;
  endpoint: string;
  config: ModelConfig;
  /** Of all files that a download brings. */
  bytes: number;
  /** Bytes of the weights by their number, rounded: 2 where they are kept in 16 bits, else 4. */
  bytesPerWeight: 2 | 4;
}

/**
 * Asks the hub for a model's files and reads its configuration.
 * @throws HubError; CheckpointError for a model that we do not compute, or whose files are not all there; the signal's reason
 */
export async function inspectModel(
  address: ModelAddress,
  { signal = new AbortController().signal, ...options }: HubOptions & { signal?: AbortSignal | undefined } = {},
): Promise<InspectedModel> {
  const hub = new Hub(options);
  const listing = await listModel(hub, address, signal);
  const text = chooseTextFiles(listing);
  const json = async (file: HubFile) =>
    parseJson(await fetchFile(hub, listing, file, signal), `${nameOf(listing)}/${file.path}`);
  const config = parseModelConfig(await json(listing.files.get('config.json')!), `${nameOf(listing)}/config.json`);
  const index = listing.files.get(INDEX_FILE);
  const weights = chooseWeightFiles(listing, index && (await json(index)));
  const { id, revision, commit, endpoint } = listing;
  const bytes = sizeOf(weights);
  const bytesPerWeight = bytes / countParameters(config) < 3 ? 2 : 4;
  return { id, revision, commit, endpoint, config, bytes: bytes + sizeOf(text), bytesPerWeight };
}

const sizeOf = (files: readonly HubFile[]) => files.reduce((sum, { bytes }) => sum + bytes, 0);

/** A small file, checked against the hash that the hub lists. */
async function fetchFile(
  hub: Hub,
  listing: HubListing,
  file: HubFile,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const { id, commit, revision } = listing;
  const what = `${file.path} of ${nameOf(listing)}`;
  const url = `${hub.endpoint}/${id}/resolve/${commit}/${encodeURIComponent(file.path)}`;
  const bytes = await hub.persist(what, signal, async () => {
    const response = await hub.get(url, { id, revision, file: file.path }, {}, signal);
    return new Uint8Array(await response.arrayBuffer());
  });
  const hasher = await hasherOf(file);
  hasher.update(bytes);
  const { algorithm, value } = file.hash;
  const actual = hasher.digest();
  if (actual === value) return bytes;
  throw new HubError(
    'DamagedDownloadError',
    `${what} is damaged: its ${algorithm} should be ${value} and is ${actual}`,
  );
}
