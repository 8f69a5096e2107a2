/** @file The models of this browser: downloaded, chosen as folders, kept by runs. Loaded when somebody asks for one. */
import type { DeviceLimits } from '../../../src/kernels';
import {
  CheckpointError,
  DEFAULT_REVISION,
  HUB_PREFIX,
  deleteCached,
  downloadModel,
  findCached,
  inspectModel,
  listCached,
  openCached,
  parseModelAddress,
} from '../../../src/model';
import type { FileSource, ModelAddress, ModelProgress, Shelf } from '../../../src/model';
import { baseOf, findBase, listRunModels, readAbout } from '../../../src/rl';
import type { RunModel, TrainConfig } from '../../../src/rl';
import type { HubAccess, ModelAbout, ModelsNews, ModelsRequest, ShownRunModel } from '../../models_protocol';
import { pageSources } from '../sources';
import { aboutFolder, aboutInspected } from './about';
import { FOLDER_PREFIX, Folders } from './folders';

export interface ModelsHost {
  /** Where downloaded models are kept. */
  models: Promise<Shelf>;
  runs: Promise<Shelf>;
  /** Of the device; undefined where there is none. */
  limits: () => Promise<DeviceLimits | undefined>;
  post: (news: ModelsNews) => void;
}

/** `hf:owner/name`, with the revision where it is not the usual one. */
export function nameOf({ id, revision }: ModelAddress): string {
  return HUB_PREFIX + (revision === DEFAULT_REVISION ? id : `${id}@${revision}`);
}

/** Why a question to a hub, or a download, ended before its time. */
const BROKEN_OFF = new DOMException('broken off by the user', 'AbortError');
const OVERTAKEN = new DOMException('something else was asked', 'AbortError');

export class Models {
  readonly #folders = new Folders();
  /** Of the last question to a hub, which a newer one ends, and of the download that goes on. */
  #looking = new AbortController();
  #downloading: AbortController | undefined;

  constructor(private readonly host: ModelsHost) {}

  /** Does what was asked. What comes to nothing says why, and changes nothing. */
  async receive(request: ModelsRequest): Promise<void> {
    if (request.what === 'cancel') {
      this.#looking.abort(BROKEN_OFF);
      this.#downloading?.abort(BROKEN_OFF);
      return;
    }
    const { post } = this.host;
    const news = await this.#answer(request).catch(async (error: unknown): Promise<ModelsNews | undefined> => {
      if (error === BROKEN_OFF) return { what: 'cancelled', kept: await this.#isKept(request) };
      if (error === OVERTAKEN) return undefined;
      return { what: 'problem', message: error instanceof Error ? error.message : String(error) };
    });
    // What is here now is known before anything is said about it.
    if (request.what !== 'look') await this.#list();
    if (news) post(news);
  }

  async #answer(request: Exclude<ModelsRequest, { what: 'cancel' }>): Promise<ModelsNews | undefined> {
    switch (request.what) {
      case 'list':
        return undefined;
      case 'look':
        this.#looking.abort(OVERTAKEN);
        this.#looking = new AbortController();
        return { what: 'about', about: await this.#look(request.name, request.access, this.#looking.signal) };
      case 'download':
        if (this.#downloading) throw new Error('one model is downloaded at a time: wait, or cancel');
        return { what: 'ready', about: await this.#download(request) };
      case 'delete': {
        const shelf = await this.host.models;
        const found = (await listCached(shelf)).find(({ key }) => key === request.key);
        await deleteCached(shelf, request.key);
        return { what: 'deleted', name: found ? nameOf(found) : request.key };
      }
      case 'add': {
        const limits = await this.host.limits();
        const about = await this.#folders.add(request.folder, request.files, (name, source, bytes) =>
          aboutFolder(source, this.find, { name, bytes, limits }),
        );
        return { what: 'ready', about };
      }
      case 'forget':
        this.#folders.forget(request.name);
        return { what: 'deleted', name: request.name };
    }
  }

  async #look(name: string, access: HubAccess, signal: AbortSignal): Promise<ModelAbout> {
    const limits = await this.host.limits();
    if (name.startsWith(FOLDER_PREFIX)) {
      const bytes = this.#folders.bytesOf(name);
      return aboutFolder(this.#folders.get(name), this.find, { name, bytes, limits });
    }
    const address = parseModelAddress(name, access.endpoint);
    const options = { name: nameOf(address), limits };
    const shelf = await this.host.models;
    const [cached] = await findCached(shelf, address);
    if (cached) {
      return aboutFolder((await openCached(shelf, address))!, this.find, { ...options, bytes: cached.bytes });
    }
    const inspected = await inspectModel(address, { ...hubOptions(access), signal });
    return aboutInspected(inspected, { ...options, bytes: inspected.bytes });
  }

  async #download({ name, access }: Extract<ModelsRequest, { what: 'download' }>): Promise<ModelAbout> {
    const address = parseModelAddress(name, access.endpoint);
    const { post, models, limits } = this.host;
    const controller = new AbortController();
    const { signal } = controller;
    this.#downloading = controller;
    try {
      const onProgress = (progress: ModelProgress) => {
        if (!signal.aborted) post({ what: 'progress', progress });
      };
      const shelf = await models;
      const folder = await downloadModel(shelf, address, { ...hubOptions(access), signal, onProgress });
      const [cached] = await findCached(shelf, address);
      const options = { name: nameOf(address), bytes: cached?.bytes ?? 0, limits: await limits() };
      return await aboutFolder(folder, this.find, options);
    } finally {
      this.#downloading = undefined;
    }
  }

  /** Whether something is here of what was to be downloaded. */
  async #isKept(request: ModelsRequest): Promise<boolean> {
    if (request.what !== 'download') return false;
    const { id } = parseModelAddress(request.name, request.access.endpoint);
    return (await listCached(await this.host.models)).some((model) => model.id === id && !model.complete);
  }

  /**
   * The folder of a model by the name that settings have for it. Nobody is asked for it but this browser.
   * @throws CheckpointError saying where to get it
   */
  async folder(name: string): Promise<FileSource> {
    if (name.startsWith(FOLDER_PREFIX)) return this.#folders.get(name);
    let address: ModelAddress;
    try {
      address = parseModelAddress(name);
    } catch (error) {
      throw new CheckpointError(
        `the page cannot read ${name}: a model is "starter", "scratch", hf:owner/name or a folder that was chosen under Models`,
        { cause: error },
      );
    }
    const found = await openCached(await this.host.models, address);
    if (found) return found;
    throw new CheckpointError(`${nameOf(address)} is not in this browser: download it under Models`);
  }

  /** One name for all that stand for the same model. */
  canonical(name: string): string {
    if (name.startsWith(FOLDER_PREFIX)) return this.#folders.identity(name);
    try {
      return nameOf(parseModelAddress(name));
    } catch {
      return name; // of no hub: what an adapter that was made elsewhere calls a folder there
    }
  }

  /** Looks for what lies below adapters. */
  readonly find = findBase(pageSources((name) => this.folder(name)));

  /**
   * A model that a run has kept, and the settings of the run.
   * @throws CheckpointError when it is not there any more, RunFolderError
   */
  async ofRun(run: string, step: number): Promise<{ model: RunModel; config: TrainConfig }> {
    const storage = (await this.host.runs).at(run);
    const { config } = await readAbout(storage);
    const model = (await listRunModels(storage, run)).find((each) => each.step === step);
    if (!model) throw new CheckpointError(`${run} has nothing of step ${step} any more`);
    return { model, config };
  }

  async #list(): Promise<void> {
    const { models, runs, post } = this.host;
    const shelf = await models;
    const cached = await listCached(shelf);
    const problems: string[] = [];
    const kept: ShownRunModel[] = [];
    const runShelf = await runs;
    for (const id of await runShelf.names()) {
      try {
        kept.push(...(await modelsOf(runShelf, id)));
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error));
      }
    }
    const free = (await shelf.at('').freeBytes()) ?? null;
    post({ what: 'list', cached, folders: this.#folders.list, runs: kept, lasts: shelf.lasts, free, problems });
  }
}

function hubOptions({ endpoint, token }: HubAccess) {
  return { endpoint, token: token === '' ? undefined : token };
}

/** Each step once, the newest first. */
async function modelsOf(shelf: Shelf, id: string): Promise<ShownRunModel[]> {
  const storage = shelf.at(id);
  const models = await listRunModels(storage, id);
  if (models.length === 0) return [];
  const { config } = await readAbout(storage);
  const steps = [...new Set(models.map(({ step }) => step))];
  return steps.map((step) => {
    const { lora } = models.find((model) => model.step === step)!;
    return { run: id, step, rank: lora?.rank ?? null, base: lora ? baseOf(config) : null };
  });
}
