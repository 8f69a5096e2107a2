/** @file `terrarium models`: lists, downloads and deletes models of the hub. */
import { parseArgs } from 'node:util';
import { formatBytes } from '../src/kernels';
import { deleteCached, downloadModel, listCached, parseModelAddress } from '../src/model';
import type { CachedModel } from '../src/model';
import { confirm } from './confirm';
import { showProgress } from './hub';
import { cacheFolder, hubEndpoint, modelShelf } from './model_cache';
import { columns, oneLine } from './text';
import { UsageError } from './usage_error';

export const MODELS_USAGE = `terrarium models <command>

  list                             the models that were downloaded, and parts of models
  download MODEL [--revision R] [--token-env NAME]
                                   brings a model of the hub, OWNER/NAME or its page's address, into the cache; a
                                   download that was broken off goes on. NAME is an environment variable that holds a
                                   token for private and gated models
  delete MODEL [--revision R] [--yes]
                                   removes it, parts and other commits included unless a revision is named; asks first

  Where other commands take a checkpoint folder, hf:OWNER/NAME[@REVISION] is such a model. Models are kept in
  $TERRARIUM_CACHE (default ~/.cache/terrarium); HF_ENDPOINT names a mirror of the hub.
`;

export async function modelsCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      revision: { type: 'string' },
      'token-env': { type: 'string' },
      yes: { type: 'boolean', default: false },
    },
  });
  const [command = '', ...names] = positionals;
  const one = () => {
    if (names.length !== 1) throw new UsageError(`models ${command}: name one model`);
    const [name] = names as [string];
    const revision = values.revision;
    if (revision !== undefined && name.includes('@'))
      throw new UsageError('a revision is named once: by @ or --revision');
    return revision === undefined ? name : `${name}@${revision}`;
  };
  switch (command) {
    case 'list':
      if (names.length > 0) throw new UsageError('models list: names nothing');
      return list();
    case 'download':
      return download(one(), values['token-env']);
    case 'delete':
      return remove(one(), values.revision !== undefined, values.yes);
    default:
      throw new UsageError(`models ${command}: there are list, download and delete`);
  }
}

async function list(): Promise<void> {
  const models = await listCached(modelShelf());
  if (models.length === 0) {
    process.stderr.write(`No models in ${cacheFolder()}.\n`);
    return;
  }
  const rows = models.map((model) => [
    oneLine(model.id, 60),
    oneLine(model.revision, 20),
    model.commit.slice(0, 12),
    model.inUse ? 'in use' : model.complete ? '' : 'partial',
    model.date.slice(0, 16).replace('T', ' '),
    formatBytes(model.bytes),
  ]);
  process.stdout.write(`${columns([['model', 'revision', 'commit', '', 'date', 'size'], ...rows])}\n`);
}

async function download(name: string, tokenVariable: string | undefined): Promise<void> {
  const endpoint = hubEndpoint();
  const address = parseModelAddress(name, endpoint);
  // A first Ctrl+C ends the download with what has come, a second one kills.
  const controller = new AbortController();
  const stop = () => controller.abort(new UsageError('interrupted; the same command goes on from here'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const { name: folder } = await downloadModel(modelShelf(), address, {
    endpoint,
    token: tokenFrom(tokenVariable),
    signal: controller.signal,
    onProgress: showProgress(address.id),
  });
  process.stdout.write(`${folder}\n`);
}

function tokenFrom(variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const token = process.env[variable];
  // The name is not repeated: whoever puts the token itself here must not see it in a log.
  if (!token) throw new UsageError('--token-env: there is no environment variable of that name, or it is empty');
  return token;
}

async function remove(name: string, exactly: boolean, yes: boolean): Promise<void> {
  const { id, revision } = parseModelAddress(name, hubEndpoint());
  const one = exactly || name.includes('@');
  const shelf = modelShelf();
  const models = (await listCached(shelf)).filter(
    (model) => model.id === id && (!one || model.revision === revision || model.commit.startsWith(revision)),
  );
  if (models.length === 0) throw new UsageError(`there is no ${name} in ${cacheFolder()}`);
  const bytes = models.reduce((sum, model) => sum + model.bytes, 0);
  const shown = models.map((model: CachedModel) => `${model.id}@${model.commit.slice(0, 12)}`).join(', ');
  if (!yes && !(await confirm(`Delete ${shown} (${formatBytes(bytes)})?`))) {
    process.stderr.write('Nothing was deleted.\n');
    process.exitCode = 1;
    return;
  }
  for (const { key } of models) await deleteCached(shelf, key);
}
