/** @file Downloads from a local hub to a folder on disk: whole, cut, altered, refused, and on a disk that is full. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, it, vi } from 'vitest';
import { diskShelf } from '../../../cli/model_cache';
import { formatBytes } from '../../../src/kernels';
import {
  CheckpointError,
  HubError,
  StorageFullError,
  deleteCached,
  downloadModel,
  findCached,
  listCached,
  openCached,
  openCheckpoint,
  openModelOf,
  parseModelAddress,
} from '../../../src/model';
import type { DownloadOptions, FileSource, ModelProgress, Shelf } from '../../../src/model';
import { Random, deriveKey } from '../../../src/random';
import { ORACLE_DIR } from '../../gpu';
import { commitOf, serveHub } from '../../hub_server';
import type { HubServer, ServedModel } from '../../hub_server';
import { oracleModel, randomBytes } from './models';

// Some of these move megabytes through two servers, perhaps beside everything else that runs.
vi.setConfig({ testTimeout: 60_000 });

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-hub-'));
afterAll(() => rmSync(scratch, { recursive: true }));

let number = 0;
let root: string;
let shelf: Shelf;
let hub: HubServer;
beforeEach(() => {
  root = join(scratch, String(number++));
  shelf = diskShelf(root);
});
afterEach(async () => {
  await hub.close();
});

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** No pauses worth the name: the tests' hub does not tire. */
const quick = (more: DownloadOptions = {}): DownloadOptions => ({
  endpoint: hub.endpoint,
  backOffSeconds: 0.001,
  ...more,
});

const get = (name: string, more?: DownloadOptions) =>
  downloadModel(shelf, parseModelAddress(name, hub.endpoint), quick(more));

/** The folder of a model on disk. */
const folderOf = ({ id, ...model }: ServedModel) =>
  join(root, `${id.replace('/', '--')}@${commitOf({ id, ...model })}`);

/** A model with one large file of weights. Nothing reads them. */
function bigModel(bytes: number, seed = 1, more: Partial<ServedModel> = {}): ServedModel {
  const model = oracleModel('llama-tiny', { id: 'some/big', ...more });
  model.files.set('model.safetensors', randomBytes(bytes, seed));
  return model;
}

const WEIGHTS = 'model.safetensors';

it.each(['llama-tied-gqa', 'llama-tiny', 'llama3-rope', 'qwen2-tiny', 'qwen3-sharded', 'qwen3-tiny'])(
  '%s: what is downloaded is what the hub has, only what is needed, and opens as a checkpoint',
  async (name) => {
    const model = oracleModel(name);
    hub = await serveHub(model);
    const folder = await get(`oracle/${name}`);
    const needed = [...model.files.keys()].filter((file) => /\.(json|safetensors)$/.test(file));
    expect(readdirSync(folderOf(model)).sort()).toEqual([...needed, 'manifest.json'].sort());
    for (const file of needed) {
      expect(sha256(readFileSync(join(folderOf(model), file)))).toBe(sha256(model.files.get(file)!));
      expect(sha256((await folder.read(file))!)).toBe(sha256(model.files.get(file)!));
    }
    expect(folder.name).toBe(`hf:oracle/${name}@${commitOf(model).slice(0, 12)}`);
    const [ours, original] = [
      await openCheckpoint(folder),
      JSON.parse(text(model, 'config.json')) as { hidden_size: number },
    ];
    expect(ours.config.hiddenSize).toBe(original.hidden_size);
    expect(await folder.read('README.md')).toBeUndefined();
    expect(await folder.open!('pytorch_model.bin')).toBeUndefined();
    // Everything was asked of one commit.
    const files = hub.requests.filter(({ origin, path }) => origin === 'hub' && !path.startsWith('/api'));
    expect(files.every(({ path }) => path.includes(`/resolve/${commitOf(model)}/`))).toBe(true);
  },
);

function text({ files }: ServedModel, file: string): string {
  return new TextDecoder().decode(files.get(file));
}

it('a download cut at ten random places goes on each time where it broke, by a client that knows only the disk', async () => {
  const size = 6_500_000;
  const model = bigModel(size);
  hub = await serveHub(model);
  const random = new Random(deriveKey(20_261_125));
  const cuts = Array.from({ length: 10 }, () => random.between(1, size - 1)).sort((a, b) => a - b);
  let kept = 0;
  // What a broken connection had brought, and nobody had read yet, is lost with it.
  let lost = 0;
  for (const cut of cuts) {
    hub.fault = (file, { range }) => {
      const begin = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
      return file === WEIGHTS ? { cutAfter: cut - begin } : undefined;
    };
    // One try: whoever comes next knows nothing of this one but what is on disk.
    await expect(get('some/big', { tries: 1 })).rejects.toThrow(
      /given up after 1 tries: the connection broke after byte/,
    );
    expect(hub.requests.at(-1)!.headers.range).toBe(kept === 0 ? undefined : `bytes=${kept}-`);
    const now = sizeOf(model);
    expect(now).toBeGreaterThanOrEqual(kept);
    expect(now).toBeLessThanOrEqual(cut);
    kept = now;
    lost += cut - kept;
    expect(await listCached(shelf)).toMatchObject([{ id: 'some/big', complete: false }]);
    expect(await findCached(shelf, { id: 'some/big', revision: 'main' })).toEqual([]);
  }
  hub.fault = () => undefined;
  await get('some/big');
  expect(hub.requests.at(-1)!.headers.range).toBe(`bytes=${kept}-`);
  expect(sha256(readFileSync(join(folderOf(model), WEIGHTS)))).toBe(sha256(model.files.get(WEIGHTS)!));
  const sent = hub.requests
    .filter(({ origin }) => origin === 'storage')
    .reduce((sum, request) => sum + request.sent, 0);
  expect(sent).toBe(size + lost); // no byte that was kept came twice
  expect(lost).toBeLessThan(size / 4);
  expect(await findCached(shelf, { id: 'some/big', revision: 'main' })).toHaveLength(1);
});

/** Bytes of a model's weights that are on disk. */
const sizeOf = (model: ServedModel) => statSync(join(folderOf(model), WEIGHTS)).size;

it('a connection that is cut ten times goes on by itself', async () => {
  const size = 5_000_000;
  const model = bigModel(size);
  hub = await serveHub(model);
  const random = new Random(deriveKey(7));
  let cuts = 0;
  hub.fault = (file) => (file === WEIGHTS && cuts++ < 10 ? { cutAfter: random.between(1, 400_000) } : undefined);
  await get('some/big', { tries: 2 });
  expect(cuts).toBe(11);
  expect(sha256(readFileSync(join(folderOf(model), WEIGHTS)))).toBe(sha256(model.files.get(WEIGHTS)!));
  const ranges = hub.requests.filter(({ origin }) => origin === 'storage').map(({ headers }) => headers.range);
  const begins = ranges.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')![1]));
  expect(begins).toEqual([...begins].sort((a, b) => a - b));
  expect(new Set(begins).size).toBeGreaterThan(5);
});

it.each([
  ['a large file, by its SHA-256', WEIGHTS, 'sha256', 4_321_000],
  ['a small file, by its git hash', 'tokenizer.json', 'git-sha1', 100],
])('one wrong bit is found in %s, and the file is removed', async (_, file, algorithm, flip) => {
  const model = bigModel(5_000_000);
  hub = await serveHub(model);
  hub.fault = (name) => (name === file ? { flip } : undefined);
  const original = model.files.get(file)!;
  const altered = original.slice();
  altered[flip]! ^= 1;
  const hashOf = (bytes: Uint8Array) =>
    algorithm === 'sha256'
      ? sha256(bytes)
      : createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
  const failing = get('some/big');
  await expect(failing).rejects.toMatchObject({
    name: 'DamagedDownloadError',
    message:
      `${file} of hf:some/big@${commitOf(model).slice(0, 12)} is damaged: its ${algorithm} should be ${hashOf(original)} ` +
      `and is ${hashOf(altered)}. It was removed; download it again`,
  });
  expect(existsSync(join(folderOf(model), file))).toBe(false);
  expect(await openCached(shelf, { id: 'some/big', revision: 'main' })).toBeUndefined();
  hub.fault = () => undefined;
  await get('some/big');
  expect(sha256(readFileSync(join(folderOf(model), file)))).toBe(sha256(original));
});

it('a byte that was changed on disk while the download was broken off is found', async () => {
  const model = bigModel(3_000_000);
  hub = await serveHub(model);
  hub.fault = (file) => (file === WEIGHTS ? { cutAfter: 2_000_000 } : undefined);
  await expect(get('some/big', { tries: 1 })).rejects.toThrow(HubError);
  const path = join(folderOf(model), WEIGHTS);
  const kept = readFileSync(path);
  kept[1_000_000]! ^= 1;
  writeFileSync(path, kept);
  hub.fault = () => undefined;
  await expect(get('some/big')).rejects.toMatchObject({ name: 'DamagedDownloadError' });
  expect(existsSync(path)).toBe(false);
});

it('a server that knows no ranges sends all of it again', async () => {
  const model = bigModel(1_000_000);
  hub = await serveHub(model);
  let answers = 0;
  hub.fault = (file) =>
    file === WEIGHTS ? { ignoreRange: true, ...(answers++ === 0 && { cutAfter: 600_000 }) } : undefined;
  await get('some/big');
  expect(hub.requests.filter(({ origin }) => origin === 'storage').map(({ sent }) => sent)).toEqual([
    600_000, 1_000_000,
  ]);
  expect(sha256(readFileSync(join(folderOf(model), WEIGHTS)))).toBe(sha256(model.files.get(WEIGHTS)!));
});

it('a server without ranges whose connection always breaks is given up, not asked for ever', async () => {
  hub = await serveHub(bigModel(1_000_000));
  hub.fault = (file) => (file === WEIGHTS ? { ignoreRange: true, cutAfter: 600_000 } : undefined);
  await expect(get('some/big', { tries: 3 })).rejects.toMatchObject({ name: 'HubConnectionError' });
  const asked = hub.requests.filter(({ origin }) => origin === 'storage').length;
  expect(asked).toBeGreaterThanOrEqual(3);
  expect(asked).toBeLessThan(10);
});

it('a file that changed behind its commit is begun anew, also after the process has ended', async () => {
  const model = bigModel(1_000_000, 1, { commit: 'a'.repeat(40) });
  hub = await serveHub(model);
  hub.fault = (file) => (file === WEIGHTS ? { cutAfter: 700_000 } : undefined);
  await expect(get('some/big', { tries: 1 })).rejects.toThrow(HubError);
  hub.fault = () => undefined;
  const kept = sizeOf(model);
  const changed = randomBytes(900_000, 2);
  model.files.set(WEIGHTS, changed);
  await get('some/big');
  expect(sha256(readFileSync(join(folderOf(model), WEIGHTS)))).toBe(sha256(changed));
  const ranges = hub.requests.filter(({ origin }) => origin === 'storage').map(({ headers }) => headers.range);
  expect(ranges).toEqual([undefined, `bytes=${kept}-`, undefined]); // its tag is not the one that was kept
});

it('bytes more than the hub lists are no download', async () => {
  const model = bigModel(1_000_000);
  const listed = model.files.get(WEIGHTS)!;
  hub = await serveHub(model);
  hub.fault = (file) => {
    // Listed already: what is sent from here on is longer.
    if (file === 'config.json') model.files.set(WEIGHTS, randomBytes(1_000_100, 1));
    return undefined;
  };
  model.commit = commitOf({ ...model, files: new Map([...model.files, [WEIGHTS, listed]]) });
  await expect(get('some/big')).rejects.toThrow(/has more than the 1000000 bytes that .* lists/);
  expect(existsSync(join(folderOf(model), WEIGHTS))).toBe(false);
});

it('a busy hub is asked again, after as long as it says', async () => {
  hub = await serveHub(oracleModel('llama-tiny'));
  let asked = 0;
  hub.apiFault = () => {
    asked++;
    return asked === 1 ? { status: 429, headers: { 'retry-after': '1' } } : asked === 2 ? { status: 503 } : undefined;
  };
  const begun = performance.now();
  await get('oracle/llama-tiny');
  expect(performance.now() - begun).toBeGreaterThan(990);
  expect(asked).toBeGreaterThan(3);
});

it.each([500, 502, 503, 429, 408])('a hub that only answers %i is given up with its status', async (status) => {
  hub = await serveHub(oracleModel('llama-tiny'));
  hub.fault = (file) => (file === 'config.json' ? { status } : undefined);
  const failing = get('oracle/llama-tiny', { tries: 3 });
  await expect(failing).rejects.toMatchObject({ name: 'HubConnectionError' });
  await expect(failing).rejects.toThrow(
    /^config\.json of hf:oracle\/llama-tiny@\w+: given up after 3 tries: http:.* answers \d+$/,
  );
  expect(hub.requestsFor('config.json')).toHaveLength(3);
});

it('a connection on which nothing comes any more is broken off and goes on', async () => {
  const model = bigModel(1_000_000);
  hub = await serveHub(model);
  let answers = 0;
  hub.fault = (file) => (file === WEIGHTS && answers++ === 0 ? { stallAfter: 400_000 } : undefined);
  await get('some/big', { stallSeconds: 1.5 });
  const ranges = hub.requests.filter(({ origin }) => origin === 'storage').map(({ headers }) => headers.range);
  expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d{4,5}-$/)]);
  expect(sha256(readFileSync(join(folderOf(model), WEIGHTS)))).toBe(sha256(model.files.get(WEIGHTS)!));
});

it('where nothing answers, that is said', async () => {
  hub = await serveHub();
  const { endpoint } = hub;
  await hub.close();
  await expect(get('some/big', { tries: 2 })).rejects.toThrow(
    `some/big: given up after 2 tries: nothing answers at ${endpoint} (ECONNREFUSED)`,
  );
});

it('a private model comes with its token, which the storage never sees', async () => {
  const model = bigModel(1_000_000, 1, { tokens: ['hf_secret'] });
  hub = await serveHub(model);
  let answers = 0;
  hub.fault = (file) => (file === WEIGHTS && answers++ === 0 ? { cutAfter: 300_000 } : undefined);
  await get('some/big', { token: 'hf_secret' });
  const [ours, foreign] = ['hub', 'storage'].map((origin) => hub.requests.filter((each) => each.origin === origin));
  expect(ours!.every(({ headers }) => headers.authorization === 'Bearer hf_secret')).toBe(true);
  expect(foreign).toHaveLength(2);
  expect(foreign!.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  expect(JSON.stringify(foreign)).not.toContain('hf_secret');
  // Nor does the disk.
  for (const file of readdirSync(folderOf(model))) {
    expect(readFileSync(join(folderOf(model), file)).includes('hf_secret')).toBe(false);
  }
});

it.each<[string, string, string | undefined, string, RegExp]>([
  [
    'no token for a private model',
    'private/m',
    undefined,
    'HubAccessError',
    /gives private\/m to nobody without a token/,
  ],
  [
    'a token that is none',
    'private/m',
    'hf_wrong',
    'HubAccessError',
    /does not accept the token \(Invalid credentials/,
  ],
  [
    'a token that may not',
    'private/m',
    'hf_other',
    'HubAccessError',
    /denies private\/m: the token may not read it; its owner grants access at http:.*\/private\/m \(Access to this/,
  ],
  ['a model that is not there', 'no/such', 'hf_secret', 'HubNotFoundError', /there is no model no\/such with a rev/],
  ['a revision that is not there', 'open/m@v9', undefined, 'HubNotFoundError', /open\/m has no revision v9$/],
])('refused: %s', async (_, name, token, kind, message) => {
  hub = await serveHub(
    oracleModel('llama-tiny', { id: 'private/m', tokens: ['hf_secret'], denied: ['hf_other'] }),
    oracleModel('llama-tiny', { id: 'open/m' }),
  );
  const failing = get(name, { token });
  await expect(failing).rejects.toMatchObject({ name: kind });
  await expect(failing).rejects.toThrow(message);
  await failing.catch((error: Error) => expect(error.message).not.toContain('hf_'));
  expect(hub.requests).toHaveLength(1); // what is refused is not asked again
  expect(await listCached(shelf)).toEqual([]);
});

it('access that is taken away between list and file is said with the file', async () => {
  hub = await serveHub(oracleModel('llama-tiny'));
  hub.fault = (file) => (file === 'tokenizer.json' ? { status: 403 } : undefined);
  await expect(get('oracle/llama-tiny')).rejects.toThrow(
    /denies tokenizer.json of oracle\/llama-tiny: a token is needed/,
  );
  hub.fault = (file) => (file === 'tokenizer.json' ? { status: 404 } : undefined);
  await expect(get('oracle/llama-tiny')).rejects.toThrow(
    /oracle\/llama-tiny has no file tokenizer.json in revision main/,
  );
});

it('an address of the storage that has run out is asked for anew', async () => {
  hub = await serveHub(bigModel(1_000_000));
  let answers = 0;
  hub.fault = (file) => (file === WEIGHTS && answers++ === 0 ? { status: 403 } : undefined);
  await get('some/big');
  expect(hub.requests.filter(({ origin }) => origin === 'storage')).toHaveLength(2);
});

it('a token is not sent where everybody can read it, nor one that is no header', async () => {
  hub = await serveHub();
  const options = { endpoint: 'http://mirror.example', token: 'hf_secret' };
  const address = { id: 'a/b', revision: 'main' };
  await expect(downloadModel(shelf, address, options)).rejects.toThrow(
    'a token is not sent to http://mirror.example, which is not encrypted: use https',
  );
  await expect(get('a/b', { token: 'hf_\n' + 'x' })).rejects.toThrow('the token has characters no token has');
});

it.each<[string, (files: Map<string, Uint8Array>) => unknown, RegExp]>([
  ['config.json', (files) => files.delete('config.json'), /^hf:oracle\/llama-tiny@\w+: config.json is missing$/],
  ['a tokenizer', (files) => files.delete('tokenizer.json'), /: tokenizer.json is missing$/],
  [
    'safetensors',
    (files) => files.delete(WEIGHTS),
    /: model.safetensors is missing; it has pytorch_model.bin, which we do not read$/,
  ],
])('refused before anything is downloaded: a model without %s', async (_, spoil, message) => {
  const model = oracleModel('llama-tiny');
  spoil(model.files);
  hub = await serveHub(model);
  await expect(get('oracle/llama-tiny')).rejects.toThrow(CheckpointError);
  await expect(get('oracle/llama-tiny')).rejects.toThrow(message);
  expect(existsSync(root)).toBe(false);
});

it('refused before the weights are downloaded: an architecture that we do not compute', async () => {
  const model = oracleModel('llama-tiny');
  const gemma = readFileSync(new URL('../configs/gemma-3-270m-it.json', import.meta.url));
  model.files.set('config.json', new Uint8Array(gemma));
  hub = await serveHub(model);
  await expect(get('oracle/llama-tiny')).rejects.toThrow(
    /\/config.json: architecture "Gemma3ForCausalLM" is not supported; supported are .*Qwen3ForCausalLM/,
  );
  expect(hub.requestsFor(WEIGHTS)).toEqual([]);
  expect(await listCached(shelf)).toEqual([]);
});

it('refused before the weights are downloaded: a shard that the index names and the hub has not', async () => {
  const model = oracleModel('qwen3-sharded');
  model.files.delete('model-00002-of-00002.safetensors');
  hub = await serveHub(model);
  await expect(get('oracle/qwen3-sharded')).rejects.toThrow(
    /: model-00002-of-00002.safetensors is missing, which model.safetensors.index.json names$/,
  );
  expect(hub.requests.filter(({ origin }) => origin === 'storage')).toEqual([]);
});

it('refused before the download: a model that does not fit, with both sizes', async () => {
  hub = await serveHub(bigModel(5_000_000));
  const small: Shelf = {
    ...shelf,
    at: (name) => ({ ...shelf.at(name), freeBytes: () => Promise.resolve(18 * 2 ** 20) }),
  };
  const failing = downloadModel(small, { id: 'some/big', revision: 'main' }, quick());
  await expect(failing).rejects.toThrow(StorageFullError);
  await expect(failing).rejects.toThrow(/^some\/big needs 4\.77 MiB, and 18 MiB are free: delete other models, or/);
  expect(hub.requestsFor(WEIGHTS)).toEqual([]);
  expect(await listCached(shelf)).toEqual([]);
});

it('a disk that is full in the midst of a file keeps what it has, says so, and goes on when there is room', async () => {
  const model = bigModel(9_000_000);
  hub = await serveHub(model);
  hub.fault = (file) => (file === WEIGHTS ? { cutAfter: 4_500_000 } : undefined);
  await expect(get('some/big', { tries: 1 })).rejects.toThrow(HubError);
  hub.fault = () => undefined;
  // The kernel's own full disk in the place of one file: everything written to it is one byte too many.
  const path = join(folderOf(model), WEIGHTS);
  const kept = sizeOf(model);
  const full: Shelf = {
    ...shelf,
    at: (name) => {
      const storage = shelf.at(name);
      const append = async (file: string, bytes: Uint8Array<ArrayBuffer>) => {
        if (file !== WEIGHTS) return storage.append(file, bytes);
        symlinkSync('/dev/full', join(folderOf(model), 'full'));
        try {
          await storage.append('full', bytes);
        } finally {
          rmSync(join(folderOf(model), 'full'));
        }
      };
      return { ...storage, append };
    },
  };
  const failing = downloadModel(full, { id: 'some/big', revision: 'main' }, quick());
  await expect(failing).rejects.toThrow(StorageFullError);
  await expect(failing).rejects.toThrow(
    `: the disk is full; full could not be written. ${formatBytes(kept)} of some/big are kept: make room and download it again`,
  );
  expect(kept).toBeGreaterThan(1_000_000);
  expect(sizeOf(model)).toBe(kept);
  await get('some/big');
  expect(sha256(readFileSync(path))).toBe(sha256(model.files.get(WEIGHTS)!));
});

it('a download that is called off keeps what has come, and the next one goes on from there', async () => {
  const size = 6_000_000;
  const model = bigModel(size);
  hub = await serveHub(model);
  hub.fault = (file) => (file === WEIGHTS ? { delay: 1 } : undefined);
  const controller = new AbortController();
  const why = new Error('enough');
  const onProgress = ({ file, done }: ModelProgress) => {
    if (file === WEIGHTS && done > 2_000_000) controller.abort(why);
  };
  await expect(get('some/big', { signal: controller.signal, onProgress })).rejects.toBe(why);
  const kept = sizeOf(model);
  expect(kept).toBeGreaterThan(1_000_000);
  expect(kept).toBeLessThan(size);
  await get('some/big');
  expect(hub.requests.at(-1)!.headers.range).toBe(`bytes=${kept}-`);
  expect(sha256(readFileSync(join(folderOf(model), WEIGHTS)))).toBe(sha256(model.files.get(WEIGHTS)!));
});

it('tells how far it is, how fast, and when it will be done', async () => {
  const model = bigModel(3_000_000);
  hub = await serveHub(model);
  hub.fault = (file) => (file === WEIGHTS ? { delay: 5 } : undefined);
  const seen: ModelProgress[] = [];
  await get('some/big', { onProgress: (progress) => seen.push(progress) });
  const needed = ['config.json', 'tokenizer.json', WEIGHTS];
  const total = needed.reduce((sum, file) => sum + model.files.get(file)!.byteLength, 0);
  expect(seen.at(-1)).toMatchObject({ file: WEIGHTS, done: total, total, secondsLeft: 0, waiting: false });
  const midst = seen.filter(({ file, done }) => file === WEIGHTS && done < total && done > total / 2);
  expect(midst.length).toBeGreaterThan(0);
  for (const { done, bytesPerSecond, secondsLeft } of midst) {
    expect(bytesPerSecond).toBeGreaterThan(0);
    expect(secondsLeft! * bytesPerSecond!).toBeCloseTo(total - done, -1);
  }
  expect(seen.every(({ done }, i) => i === 0 || done >= seen[i - 1]!.done)).toBe(true);
});

it('two that want the same model at once download it once', async () => {
  const model = bigModel(2_000_000);
  hub = await serveHub(model);
  hub.fault = (file) => (file === WEIGHTS ? { delay: 3 } : undefined);
  let waited = 0;
  const onProgress = ({ waiting }: ModelProgress) => void (waited += waiting ? 1 : 0);
  const both = await Promise.all([get('some/big', { onProgress }), get('some/big', { onProgress })]);
  expect(waited).toBeGreaterThan(0);
  expect(hub.requestsFor('config.json')).toHaveLength(1);
  expect(hub.requests.filter(({ origin }) => origin === 'storage').map(({ sent }) => sent)).toEqual([2_000_000]);
  for (const folder of both) expect(sha256((await folder.read(WEIGHTS))!)).toBe(sha256(model.files.get(WEIGHTS)!));
});

it('what is in the cache opens without the hub; a new commit of it is another model', async () => {
  const model = oracleModel('llama-tiny', { revisions: ['main', 'v1'] });
  hub = await serveHub(model);
  const open = (name: string) => openModelOf(shelf, name, quick());
  const first = await open('hf:oracle/llama-tiny');
  const asked = hub.requests.length;
  expect((await open('oracle/llama-tiny')).name).toBe(first.name);
  expect((await open(`oracle/llama-tiny@${commitOf(model).slice(0, 8)}`)).name).toBe(first.name);
  expect((await open(`${hub.endpoint}/oracle/llama-tiny/tree/main`)).name).toBe(first.name);
  expect(hub.requests).toHaveLength(asked);
  const old = commitOf(model);
  model.files.set('tokenizer_config.json', new TextEncoder().encode('{}\n'));
  const second = await get('oracle/llama-tiny'); // asks
  expect(second.name).not.toBe(first.name);
  expect((await open('oracle/llama-tiny')).name).toBe(second.name);
  expect((await open(`oracle/llama-tiny@${old}`)).name).toBe(first.name);
  const models = await listCached(shelf);
  expect(models.map(({ id, revision, complete, inUse }) => ({ id, revision, complete, inUse }))).toEqual(
    Array(2).fill({ id: 'oracle/llama-tiny', revision: 'main', complete: true, inUse: false }),
  );
  expect(models.every(({ bytes, date }) => bytes > 148_272 && /^\d{4}-\d\d-\d\dT/.test(date))).toBe(true);
  await deleteCached(shelf, models[0]!.key);
  expect((await listCached(shelf)).map(({ key }) => key)).toEqual([models[1]!.key]);
  expect(existsSync(join(root, models[0]!.key))).toBe(false);
});

it('a file of the cache that was cut is named when it is opened, and what mends it', async () => {
  const model = oracleModel('llama-tiny');
  hub = await serveHub(model);
  const folder: FileSource = await get('oracle/llama-tiny');
  const path = join(folderOf(model), WEIGHTS);
  writeFileSync(path, readFileSync(path).subarray(0, 1000));
  await expect(openCheckpoint(folder)).rejects.toThrow(CheckpointError);
  await expect(openCheckpoint(folder)).rejects.toThrow(
    `${folder.name}: ${WEIGHTS} has 1000 of 148272 bytes: delete oracle/llama-tiny and download it again`,
  );
  rmSync(path);
  await expect(openCheckpoint(folder)).rejects.toThrow(`${folder.name}: ${WEIGHTS} is gone: delete`);
});

it('a folder that a crash left with half a list is a part, and is completed', async () => {
  const model = oracleModel('llama-tiny');
  hub = await serveHub(model);
  mkdirSync(folderOf(model), { recursive: true });
  writeFileSync(join(folderOf(model), 'download.json'), '{"id": "oracle/lla');
  writeFileSync(
    join(folderOf(model), WEIGHTS),
    readFileSync(join(ORACLE_DIR, 'models/llama-tiny', WEIGHTS)).subarray(0, 77),
  );
  writeFileSync(join(folderOf(model), 'other.bin'), 'from an earlier list');
  expect(await listCached(shelf)).toMatchObject([
    { id: 'oracle/llama-tiny', commit: commitOf(model), complete: false },
  ]);
  await openCheckpoint(await get('oracle/llama-tiny'));
  expect(existsSync(join(folderOf(model), 'other.bin'))).toBe(false);
  expect(hub.requests.filter(({ origin }) => origin === 'storage').map(({ headers }) => headers.range)).toEqual([
    'bytes=77-',
  ]);
});

it.each<[string, string]>([
  ['HTML', '<html>a portal</html>'],
  ['another API', '{"status": "ok"}'],
  ['a list', '[]'],
])('an address at which %s answers is no hub', async (_, body) => {
  hub = await serveHub();
  const { createServer } = await import('node:http');
  const other = createServer((_request, reply) =>
    reply.writeHead(200, { 'content-type': 'application/json' }).end(body),
  );
  await new Promise<void>((go) => other.listen(0, '127.0.0.1', go));
  const { port } = other.address() as { port: number };
  const failing = downloadModel(shelf, { id: 'a/b', revision: 'main' }, { endpoint: `http://127.0.0.1:${port}` });
  await expect(failing).rejects.toMatchObject({ name: 'HubAnswerError' });
  other.close();
});
