/**
 * @file One file of a hub into a folder: what is there already is kept, a broken connection goes on at the byte where it
 * broke, and the file stays only when its hash is the one that the hub lists.
 */
import type { FolderStorage } from '../folder_storage';
import { TransientError, causeOf } from './client';
import type { Hub } from './client';
import { HubError } from './errors';
import { hasherOf } from './hash';
import type { FileHasher } from './hash';
import { nameOf } from './listing';
import type { HubFile, HubListing } from './listing';

/** Bytes that are written, and hashed, at once. */
const PIECE_BYTES = 4 * 2 ** 20;

/** The version of a file that its partial bytes are of, as the server names it; kept beside them. */
export interface KeptTag {
  get(): string | undefined;
  set(tag: string | undefined): Promise<void>;
}

export interface FileDownload {
  hub: Hub;
  listing: HubListing;
  file: HubFile;
  storage: FolderStorage;
  tag: KeptTag;
  signal: AbortSignal;
  /** Bytes of the file that are there, right after they came. `fresh` have come over the wire just now. */
  onBytes: (done: number, fresh: number) => void;
}

/**
 * Completes a file.
 * @throws HubError: DamagedDownloadError naming file, expected and actual hash, the file being removed then;
 * StorageFullError and the signal's reason, what has come being kept
 */
export async function downloadFile(options: FileDownload): Promise<void> {
  const { hub, listing, file, storage, tag, signal } = options;
  const part = await PartialFile.open(options);
  const what = `${file.path} of ${nameOf(listing)}`;
  try {
    await hub.persist(what, signal, async (progressed) => {
      while (part.done < file.bytes) await receive(options, part, progressed);
    });
    const actual = part.digest();
    const { algorithm, value } = file.hash;
    if (actual !== value) throw damaged(`${what} is damaged: its ${algorithm} should be ${value} and is ${actual}`);
  } catch (error) {
    if (error instanceof HubError && error.name === 'DamagedDownloadError') {
      await storage.remove(file.path);
      await tag.set(undefined);
    }
    throw error;
  }
}

function damaged(message: string): HubError {
  return new HubError('DamagedDownloadError', `${message}. It was removed; download it again`);
}

/** The bytes that are there, and their hash so far. */
class PartialFile {
  done = 0;
  /** The most that was ever there: who begins anew gets on only after that. */
  furthest = 0;
  #hasher: FileHasher;

  private constructor(
    hasher: FileHasher,
    private readonly options: FileDownload,
  ) {
    this.#hasher = hasher;
  }

  /** Takes up what an earlier download left. */
  static async open(options: FileDownload): Promise<PartialFile> {
    const { file, storage, signal, onBytes } = options;
    const part = new PartialFile(await hasherOf(file), options);
    const found = await storage.open(file.path);
    if (!found) {
      // Also what has no bytes at all is a file.
      await storage.write(file.path, new Uint8Array());
      return part;
    }
    if (found.size > file.bytes) await part.restart();
    else {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, found.size));
      while (part.done < found.size) {
        signal.throwIfAborted();
        const bytes = await found.read(part.done, Math.min(part.done + PIECE_BYTES, found.size), piece);
        part.#hasher.update(bytes);
        part.done += bytes.byteLength;
        onBytes(part.done, 0);
      }
    }
    return part;
  }

  /** Forgets all bytes. */
  async restart(): Promise<void> {
    const { file, storage, onBytes } = this.options;
    await storage.truncate(file.path, 0);
    this.#hasher = await hasherOf(file);
    this.done = 0;
    onBytes(0, 0);
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { file, storage } = this.options;
    await storage.append(file.path, bytes);
    this.#hasher.update(bytes);
    this.done += bytes.byteLength;
  }

  digest(): string {
    return this.#hasher.digest();
  }
}

/**
 * One request for the bytes that are missing. Returns when it brought them all, or when it has to be made anew.
 * @throws TransientError for a connection that broke or a server that stalls
 */
async function receive(options: FileDownload, part: PartialFile, progressed: () => void): Promise<void> {
  const { hub, listing, file, tag } = options;
  const { id, commit, revision } = listing;
  const from = part.done;
  const patience = new Patience(hub.stallSeconds, options.signal);
  try {
    const url = `${hub.endpoint}/${id}/resolve/${commit}/${encodeURIComponent(file.path)}`;
    const range = from > 0 ? { range: `bytes=${from}-` } : undefined;
    const response = await hub.get(url, { id, revision, file: file.path }, { ...range }, patience.signal);
    const now = tagOf(response);
    const kept = tag.get();
    const changed = kept !== undefined && now !== undefined && kept !== now;
    if (from > 0 && (changed || response.status !== 206 || !beginsAt(response, from))) {
      // Another version of the file, or a server that knows no ranges: its first bytes are needed again.
      await part.restart();
      if (response.status !== 200) {
        await response.body?.cancel();
        await tag.set(now);
        throw new TransientError(`${hub.endpoint} does not go on where ${file.path} broke off`);
      }
    }
    if (part.done === 0 && response.status !== 200) {
      await response.body?.cancel();
      throw new HubError('HubAnswerError', `${hub.endpoint} answers ${response.status} when asked for ${file.path}`);
    }
    if (now !== kept) await tag.set(now);
    await store(response, options, part, patience, progressed);
  } catch (error) {
    options.signal.throwIfAborted();
    if (patience.isOver) throw new TransientError(`no byte of ${file.path} came for ${hub.stallSeconds} s`);
    throw error;
  } finally {
    patience.end();
  }
}

/** Writes a body behind the bytes that are there. What has come when it breaks is written as well. */
async function store(
  response: Response,
  { hub, listing, file, onBytes }: FileDownload,
  part: PartialFile,
  patience: Patience,
  progressed: () => void,
): Promise<void> {
  const reader = response.body!.getReader();
  const left = file.bytes - part.done;
  const piece = new Uint8Array(Math.min(PIECE_BYTES, left));
  const before = part.done;
  let held = 0;
  let came = 0;
  const flush = async () => {
    if (held === 0) return;
    const bytes = piece.subarray(0, held);
    held = 0;
    await part.append(bytes);
  };
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw new TransientError(`the connection broke after byte ${before + came} (${causeOf(error)})`);
      });
      patience.renew();
      if (done) break;
      came += value.byteLength;
      if (came > left) {
        const what = `${file.path} of ${nameOf(listing)}`;
        throw damaged(`${what} has more than the ${file.bytes} bytes that ${hub.endpoint} lists`);
      }
      if (before + came > part.furthest) {
        part.furthest = before + came;
        progressed();
      }
      for (let at = 0; at < value.byteLength;) {
        const taken = Math.min(piece.byteLength - held, value.byteLength - at);
        piece.set(value.subarray(at, at + taken), held);
        held += taken;
        at += taken;
        if (held === piece.byteLength) await flush();
      }
      onBytes(before + came, value.byteLength);
    }
  } finally {
    await flush();
    await reader.cancel().catch(() => undefined); // a broken connection cannot be broken off
  }
  if (came < left) throw new TransientError(`the connection ended after byte ${before + came} of ${file.bytes}`);
}

/** A server's name for the version of a file: of the large file behind it where it says so, else of its own answer. */
function tagOf({ headers }: Response): string | undefined {
  return (headers.get('x-linked-etag') ?? headers.get('etag') ?? undefined)?.replace(/^W\//, '').replaceAll('"', '');
}

/** Whether a partial answer is the part that was asked for; one whose headers a browser hides is believed. */
function beginsAt({ headers }: Response, from: number): boolean {
  const range = headers.get('content-range');
  return range === null || range.startsWith(`bytes ${from}-`);
}

/** Ends a request when no byte has come for too long, or when the caller's signal says so. */
class Patience {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  isOver = false;

  constructor(
    private readonly seconds: number,
    private readonly outer: AbortSignal,
  ) {
    outer.addEventListener('abort', this.#stop);
    if (outer.aborted) this.#stop();
    this.renew();
  }

  readonly #stop = () => this.#controller.abort(this.outer.reason);

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  renew(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.isOver = true;
      this.#controller.abort(new TransientError('stalled'));
    }, this.seconds * 1000);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.outer.removeEventListener('abort', this.#stop);
  }
}
