/** @file Loading an ONNX model with transformers.js: a folder on disk, one that a page serves, or a model of the hub. */
import { TinyChat } from '../chat';
import { readJson } from '../files';
import type { FileSource } from '../files';
import { CheckpointError } from '../errors';
import { TinyTokenizer, isTinyTokenizer } from '../tokenizer';
import { TransformersModel } from './client';
import type { Engine, EngineModel } from './engine';
import type { OnnxDtype } from './files';
import { FormatPrompter, TemplatePrompter } from './prompt';
import type { Prompter, TemplateTokenizer } from './prompt';

/** How much of a file has come. */
export interface DownloadProgress {
  file: string;
  loaded: number;
  /** 0 while it is not known. */
  total: number;
}

export interface TransformersOptions {
  /** What results call the model. */
  name: string;
  /** A folder's path, the address of one that the page serves, or the hub's name for a model: `owner/model`. */
  source: string;
  /** Only from the folder: nothing is downloaded. */
  local?: boolean;
  /** The folder's own files where they can be read; a model of ours is known by its tokenizer. */
  folder?: FileSource;
  /** `cpu` in a terminal, `webgpu` or `wasm` in a page. */
  device: 'cpu' | 'webgpu' | 'wasm';
  dtype?: OnnxDtype | undefined;
  /** In a page: where the page serves ONNX Runtime's two files. They would come from a foreign server otherwise. */
  runtime?: { mjs: string; wasm: string };
  /** In a terminal: where downloads are kept. */
  cacheFolder?: string;
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Asked between the steps of loading. */
  signal?: AbortSignal | undefined;
}

/** What a model needs to answer. */
export interface Loaded {
  library: Engine;
  model: EngineModel;
  prompter: Prompter;
  /** Longest sequence, in tokens. */
  maxPositions: number;
}

type LoadOptions = Pick<TransformersOptions, 'source' | 'local' | 'signal' | 'onProgress'>;

/**
 * Loads library, tokenizer and model.
 * @throws CheckpointError naming the model and what is wrong with it; the signal's reason
 */
export async function loadTransformers(options: TransformersOptions): Promise<TransformersModel> {
  const { name, source, folder, device, dtype, signal } = options;
  const library = await openLibrary(options);
  const config = await within(source, () => library.AutoConfig.from_pretrained(source, common(options)));
  const { max_position_embeddings: maxPositions } = config;
  if (typeof maxPositions !== 'number') {
    throw new CheckpointError(`${source}: config.json has no max_position_embeddings`);
  }
  const own = folder && (await ownChat(folder));
  const template = own ? undefined : await loadTemplateTokenizer(library, options);
  signal?.throwIfAborted();
  const model = await within(source, () =>
    library.AutoModelForCausalLM.from_pretrained(source, { ...common(options), device, ...(dtype && { dtype }) }),
  );
  const prompter = own
    ? new FormatPrompter(own)
    : new TemplatePrompter(template!.tokenizer, stopsOf(model, template!.eos));
  const loaded = new TransformersModel(name, { library, model, prompter, maxPositions });
  const inputs = Object.values(model.sessions).flatMap(({ inputNames }) => inputNames);
  const problem = inputs.some((input) => input.startsWith('past_key_values'))
    ? prompter.stopTokens.length === 0 && 'no file says which token ends a reply'
    : `its graph has no key-value cache (inputs ${inputs.join(', ')}): export it for text generation with past`;
  if (signal?.aborted || problem) {
    await loaded.destroy();
    signal?.throwIfAborted();
    throw new CheckpointError(`${source}: ${problem as string}`);
  }
  return loaded;
}

const IN_TERMINAL = typeof process === 'object' && 'node' in process.versions;

/** The library, told where its runtime is. In a terminal it is onnxruntime-node. */
async function openLibrary(options: TransformersOptions): Promise<Engine> {
  const { device, runtime, local = false, source, cacheFolder } = options;
  const library = (await import('./lazy-library')) as unknown as Engine;
  library.env.allowLocalModels = local;
  library.env.allowRemoteModels = !local;
  if (cacheFolder !== undefined) library.env.cacheDir = cacheFolder;
  const { wasm } = library.env.backends.onnx;
  if (runtime && wasm) wasm.wasmPaths = runtime;
  else if (device !== 'cpu' && !IN_TERMINAL) {
    throw new CheckpointError(`${source}: this page serves no ONNX Runtime, and none is taken from elsewhere`);
  }
  return library;
}

function common({ local = false, onProgress }: LoadOptions) {
  return {
    local_files_only: local,
    progress_callback: (event: { status: string; file?: string; loaded?: number; total?: number }) => {
      const { status, file = '', loaded = 0, total = 0 } = event;
      if (status === 'progress') onProgress?.({ file, loaded, total });
    },
  };
}

/** The chat format of a model of ours, which is known by the special tokens that ours begin with. */
async function ownChat(folder: FileSource): Promise<TinyChat | undefined> {
  const json = await readJson(folder, 'tokenizer.json');
  if (!isTinyTokenizer(json)) return undefined;
  return new TinyChat(TinyTokenizer.fromJson(json, `${folder.name}/tokenizer.json`));
}

/** Tokens that end a reply, of generation_config.json and of the tokenizer. */
function stopsOf(model: EngineModel, eos: number | undefined): number[] {
  const { eos_token_id: stops } = Object(model.generation_config) as { eos_token_id?: unknown };
  return [...new Set([stops, eos].flat().filter((id) => typeof id === 'number'))];
}

/**
 * A model's own tokenizer and template.
 * @throws CheckpointError where it has no template
 */
export async function loadTemplateTokenizer(
  library: Engine,
  options: LoadOptions,
): Promise<{ tokenizer: TemplateTokenizer; eos: number | undefined }> {
  const { source } = options;
  const tokenizer = await within(source, () => library.AutoTokenizer.from_pretrained(source, common(options)));
  const { chat_template: template, eos_token_id: eos, all_special_tokens: specialTokens = [] } = tokenizer;
  if (!template) throw new CheckpointError(`${source}: tokenizer_config.json has no chat_template: not a chat model`);
  return {
    eos: typeof eos === 'number' ? eos : undefined,
    tokenizer: {
      render: (messages, tools) =>
        tokenizer.apply_chat_template(messages, {
          tools,
          add_generation_prompt: true,
          return_tensor: false,
          return_dict: false,
        }) as number[],
      decode: (ids) => tokenizer.decode([...ids], { skip_special_tokens: true }),
      template: typeof template === 'string' ? template : JSON.stringify(template),
      specialTokens,
    },
  };
}

/** Says which model an error is about. */
async function within<T>(source: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw new CheckpointError(`${source}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
