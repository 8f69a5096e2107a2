/**
 * @file A hub for tests, in the layout of Hugging Face's: an API and small files on one origin, large files behind a redirect
 * to a storage on another. It misbehaves as told.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ServedModel {
  /** `owner/name` */
  id: string;
  files: Map<string, Uint8Array>;
  /** Branches and tags; every name is of this one commit. Default: main. */
  revisions?: string[];
  /** Only who sends one of these tokens may read it. */
  tokens?: string[];
  /** Tokens that are known, and may not read it. */
  denied?: string[];
  /** In place of the hash of all files. */
  commit?: string;
  /** Sizes that the listing has in place of the files' own. */
  listed?: Record<string, number>;
}

/** What goes wrong with one answer that carries a file. */
export interface Fault {
  status?: number;
  headers?: Record<string, string>;
  /** Bytes of the body before the connection is cut; the headers announce all of them. */
  cutAfter?: number;
  /** Offset in the file of a byte that is sent with one bit turned. */
  flip?: number;
  /** Sends the whole file whatever was asked for. */
  ignoreRange?: boolean;
  /** Sends so many bytes and then nothing, with the connection open. */
  stallAfter?: number;
  /** Milliseconds after every 64 KiB. */
  delay?: number;
  /** In place of the file's own tag. */
  etag?: string;
}

export interface ServedRequest {
  origin: 'hub' | 'storage';
  path: string;
  headers: IncomingHttpHeaders;
  /** Bytes of the body that were sent. */
  sent: number;
}

export interface HubServer {
  endpoint: string;
  /** Everything that was asked, in order. */
  requests: ServedRequest[];
  models: Map<string, ServedModel>;
  /** Asked for every answer with a file's bytes: what goes wrong with it. */
  fault: (file: string, headers: IncomingHttpHeaders) => Fault | undefined;
  /** Asked for every answer of the API. */
  apiFault: (path: string) => Fault | undefined;
  /** Requests for bytes of a file. */
  requestsFor(file: string): ServedRequest[];
  close(): Promise<void>;
}

/** Files that the hub keeps in its storage. */
const isLarge = (file: string) => file.endsWith('.safetensors') || file.endsWith('.bin');

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const blobHash = (bytes: Uint8Array) =>
  createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');

/** The commit of a model: a hash of its files. */
export function commitOf({ files, commit }: ServedModel): string {
  if (commit !== undefined) return commit;
  const hash = createHash('sha1');
  for (const [file, bytes] of files) hash.update(file).update(sha256(bytes));
  return hash.digest('hex');
}

/** As Hugging Face's hub answers pages of other origins. */
const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, range',
  'access-control-expose-headers':
    'X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag',
};

/** Entries of the tree on one page of its listing: there is more than one page for every model. */
const PAGE = 3;

/** Starts a hub and its storage on free ports. */
export async function serveHub(...models: ServedModel[]): Promise<HubServer> {
  const requests: ServedRequest[] = [];
  const storage = createServer((incoming, reply) => void answerStorage(incoming, reply));
  const api = createServer((incoming, reply) => void answerHub(incoming, reply));
  const storageUrl = await listen(storage);
  const endpoint = await listen(api);
  const hub: HubServer = {
    endpoint,
    requests,
    models: new Map(models.map((model) => [model.id, model])),
    fault: () => undefined,
    apiFault: () => undefined,
    requestsFor: (file) => requests.filter(({ path }) => path.includes(`/${file}`)),
    close: () => Promise.all([api, storage].map(stop)).then(() => undefined),
  };

  function note(origin: ServedRequest['origin'], { url = '', headers }: IncomingMessage): ServedRequest {
    const request = { origin, path: url, headers, sent: 0 };
    requests.push(request);
    return request;
  }

  async function answerHub(incoming: IncomingMessage, reply: ServerResponse): Promise<void> {
    if (preflight(incoming, reply)) return;
    const request = note('hub', incoming);
    const url = new URL(incoming.url ?? '', endpoint);
    const parts = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
    const isApi = parts[0] === 'api';
    const [owner, name, action, revision = '', file = ''] = isApi ? parts.slice(2) : parts;
    const refuse = (status: number, code: string, message: string) =>
      reply.writeHead(status, { ...CORS, 'x-error-code': code, 'x-error-message': message }).end();
    if (isApi) {
      const fault = hub.apiFault(url.pathname);
      if (fault?.status) {
        reply.writeHead(fault.status, { ...CORS, ...fault.headers }).end();
        return;
      }
    }
    const model = hub.models.get(`${owner}/${name}`);
    const token = /^Bearer (.*)$/.exec(incoming.headers.authorization ?? '')?.[1];
    if (!model || (model.tokens && token === undefined)) {
      // As the hub does it: who may not know does not learn whether there is one.
      if (token === undefined) refuse(401, 'RepoNotFound', 'Invalid username or password.');
      else refuse(404, 'RepoNotFound', 'Repository not found');
      return;
    }
    if (model.tokens && !model.tokens.includes(token!)) {
      if (model.denied?.includes(token!)) refuse(403, 'GatedRepo', 'Access to this model is restricted.');
      else refuse(401, '', 'Invalid credentials in Authorization header');
      return;
    }
    const commit = commitOf(model);
    if (![...(model.revisions ?? ['main']), commit].includes(revision)) {
      refuse(404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
      return;
    }
    if (action === 'revision') {
      const info = { _id: '0', id: model.id, sha: commit, private: model.tokens !== undefined, gated: false };
      sendJson(reply, { ...info, downloads: 0, likes: 0, lastModified: '2026-01-01T00:00:00.000Z' });
    } else if (action === 'tree') {
      const begin = Number(url.searchParams.get('cursor') ?? 0);
      const page = [...model.files].slice(begin, begin + PAGE).map(([path, bytes]) => {
        const size = model.listed?.[path] ?? bytes.byteLength;
        const lfs = { oid: sha256(bytes), size, pointerSize: 134 };
        return { type: 'file', oid: blobHash(bytes), size, path, ...(isLarge(path) && { lfs }) };
      });
      const next = new URL(url);
      next.searchParams.set('cursor', String(begin + PAGE));
      const isLast = begin + PAGE >= model.files.size;
      sendJson(reply, page, isLast ? {} : { link: `<${next.href}>; rel="next"` });
    } else if (action === 'resolve') {
      const bytes = model.files.get(file);
      if (!bytes) refuse(404, 'EntryNotFound', 'Entry not found');
      else if (isLarge(file)) {
        const location = `${storageUrl}/${model.id}/${commit}/${file}?signature=abc`;
        const linked = { 'x-linked-etag': `"${sha256(bytes)}"`, 'x-linked-size': String(bytes.byteLength) };
        reply.writeHead(302, { ...CORS, ...linked, 'x-repo-commit': commit, location }).end();
      } else await sendFile(request, reply, file, bytes, blobHash(bytes));
    } else refuse(404, '', 'Not found');
  }

  async function answerStorage(incoming: IncomingMessage, reply: ServerResponse): Promise<void> {
    if (preflight(incoming, reply)) return;
    const request = note('storage', incoming);
    const [owner, name, commit, file = ''] = (incoming.url ?? '').split('?')[0]!.split('/').slice(1);
    const model = hub.models.get(`${owner}/${name}`);
    const bytes = model && commitOf(model) === commit ? model.files.get(file) : undefined;
    if (!bytes) reply.writeHead(404, CORS).end();
    else await sendFile(request, reply, file, bytes, sha256(bytes));
  }

  async function sendFile(
    request: ServedRequest,
    reply: ServerResponse,
    file: string,
    bytes: Uint8Array,
    tag: string,
  ): Promise<void> {
    const fault = hub.fault(file, request.headers) ?? {};
    if (fault.status !== undefined) {
      reply.writeHead(fault.status, { ...CORS, ...fault.headers }).end();
      return;
    }
    const total = bytes.byteLength;
    const range = fault.ignoreRange ? undefined : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const begin = range ? Number(range[1]) : 0;
    const headers = { ...CORS, etag: `"${fault.etag ?? tag}"`, 'content-type': 'application/octet-stream' };
    if (range && begin >= total) {
      reply.writeHead(416, { ...headers, 'content-range': `bytes */${total}` }).end();
      return;
    }
    const body = Buffer.from(bytes.slice(begin));
    if (fault.flip !== undefined && fault.flip >= begin) body[fault.flip - begin]! ^= 1;
    reply.writeHead(range ? 206 : 200, {
      ...headers,
      'accept-ranges': 'bytes',
      'content-length': body.byteLength,
      ...(range && { 'content-range': `bytes ${begin}-${total - 1}/${total}` }),
    });
    const end = Math.min(body.byteLength, fault.cutAfter ?? Infinity, fault.stallAfter ?? Infinity);
    for (let at = 0; at < end; at += 65536) {
      const piece = body.subarray(at, Math.min(at + 65536, end));
      if (reply.destroyed) return;
      await new Promise<void>((sent) => reply.write(piece, () => sent()));
      request.sent += piece.byteLength;
      if (fault.delay !== undefined) await new Promise((go) => setTimeout(go, fault.delay));
    }
    if (fault.stallAfter !== undefined) return;
    if (end < body.byteLength) reply.socket!.end();
    else reply.end();
  }

  return hub;
}

function preflight(incoming: IncomingMessage, reply: ServerResponse): boolean {
  if (incoming.method !== 'OPTIONS') return false;
  reply.writeHead(204, CORS).end();
  return true;
}

function sendJson(reply: ServerResponse, body: unknown, headers: Record<string, string> = {}): void {
  reply.writeHead(200, { ...CORS, 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function stop(server: Server): Promise<void> {
  return new Promise((go) => {
    server.closeAllConnections();
    server.close(() => go());
  });
}
