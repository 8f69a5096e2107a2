/**
 * @file The model that a command line or a suite names: a shipped starter, a folder with a checkpoint or an ONNX model, a
 * model of the hub, with weights for us or as ONNX, an endpoint's model.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { OpenAIModel } from '../src/envs';
import type { ChatModel } from '../src/envs';
import { HUB_PREFIX, checkOnnxFolder, loadTransformers, looksLikeOnnx, readJson } from '../src/model';
import type { DownloadProgress, FileSource, TransformersModel } from '../src/model';
import { NoStarterError, findBase } from '../src/rl';
import { acquireNodeGpu } from './dawn';
import { diskFolder, starterFolder, starterPath } from './files';
import { MODEL_SOURCES, isHubName, modelFolder } from './hub';
import { loadNative } from './native';
import { ROOT, userPath } from './paths';
import { UsageError } from './usage_error';

export interface ModelRequest {
  /** Whose starter "starter" means. */
  environment: string;
  /** "starter", a folder, a model of the hub, or with `baseUrl` the endpoint's name for it. */
  model: string;
  baseUrl?: string | undefined;
  /** Environment variable that holds the endpoint's key. */
  apiKeyVariable?: string | undefined;
  /** Sampling settings that only an endpoint knows. */
  endpointSampling: Record<string, unknown>;
  stream?: boolean;
  tokens?: boolean;
  timeoutSeconds?: number | undefined;
}

export interface OpenedModel {
  model: ChatModel;
  baseUrl: string;
  close(): void;
}

/** @throws UsageError, NoStarterError, and what is wrong with the model's files or the device */
export async function openModel(request: ModelRequest): Promise<OpenedModel> {
  if (request.baseUrl !== undefined) return openEndpoint(request, request.baseUrl);
  const unknown = Object.keys(request.endpointSampling);
  if (unknown.length > 0) throw new UsageError(`--sampling-args: our own models do not know ${unknown.join(', ')}`);
  const { model: name } = request;
  const path = userPath(name);
  if (name !== 'starter' && existsSync(path) && statSync(path).isDirectory()) {
    const files = readdirSync(path, { recursive: true }).map((file) => String(file).replaceAll('\\', '/'));
    if (looksLikeOnnx(files)) return openOnnxFolder(path, files);
  } else if (name.startsWith(HUB)) return openOnnx(await loadHub(name.slice(HUB.length)));
  return openNative(request);
}

/** Before the hub's name for a model with ONNX files: nothing is downloaded that was not asked for. */
const HUB = 'hub:';

async function openOnnxFolder(path: string, files: readonly string[]): Promise<OpenedModel> {
  const folder = diskFolder(path);
  checkOnnxFolder(path, files);
  const config = await readJson(folder, 'config.json');
  const dtype = checkOnnxFolder(path, files, { config });
  process.stderr.write(`ONNX model ${path} (${dtype}), by ONNX Runtime on the CPU\n`);
  const name = shownName(path);
  return openOnnx(await loadTransformers({ name, source: path, local: true, folder, device: 'cpu', dtype }));
}

async function loadHub(name: string): Promise<TransformersModel> {
  const tenths = new Map<string, number>();
  const onProgress = ({ file, loaded, total }: DownloadProgress) => {
    const tenth = total > 0 ? Math.floor((10 * loaded) / total) : 0;
    if (tenths.get(file) === tenth) return;
    tenths.set(file, tenth);
    process.stderr.write(`${name}: ${file} ${10 * tenth}%\n`);
  };
  return loadTransformers({ name, source: name, device: 'cpu', cacheFolder: join(ROOT, '.cache/models'), onProgress });
}

function openOnnx(model: TransformersModel): OpenedModel {
  return { model, baseUrl: '', close: () => void model.destroy() };
}

function openEndpoint(request: ModelRequest, baseUrl: string): OpenedModel {
  const { model: name, apiKeyVariable, endpointSampling, stream = false, tokens = false, timeoutSeconds } = request;
  const model = new OpenAIModel({
    baseUrl,
    model: name,
    apiKey: keyFrom(apiKeyVariable),
    stream,
    tokenIds: tokens,
    extraBody: endpointSampling,
    ...(timeoutSeconds !== undefined && { timeoutSeconds }),
  });
  return { model, baseUrl: model.baseUrl, close: () => undefined };
}

async function openNative({ environment, model: name }: ModelRequest): Promise<OpenedModel> {
  const folder = name === 'starter' ? starterFolder(environment) : await checkpointFolder(name);
  if (!folder) throw new NoStarterError(`${environment} has no shipped starter: give a model with -m`);
  const gpu = await acquireNodeGpu();
  const path = name === 'starter' ? starterPath(environment) : userPath(name);
  try {
    // A model of the hub is named by its commit: results say what they are of.
    const shown = isHubName(name) ? folder.name.slice(HUB_PREFIX.length) : shownName(path);
    const native = await loadNative(gpu, folder, shown, findBase(MODEL_SOURCES));
    process.stderr.write(`${native.parameters} parameters from ${folder.name}, on ${gpu.adapterName}\n`);
    return {
      model: native.model,
      baseUrl: '',
      close: () => {
        native.destroy();
        gpu.destroy();
      },
    };
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}

/** What results call the model in a folder. */
function shownName(path: string): string {
  const inside = relative(ROOT, path);
  return inside.startsWith('..') ? path.replace(/^[/\\]+/, '') : inside;
}

async function checkpointFolder(name: string): Promise<FileSource> {
  if (isHubName(name)) return modelFolder(name);
  const path = userPath(name);
  if (existsSync(path) && statSync(path).isDirectory()) return diskFolder(path);
  throw new UsageError(`-m ${name}: no folder ${path}; for a model at an endpoint give its address with -b`);
}

function keyFrom(variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const key = process.env[variable];
  // The name alone: whoever puts the key itself here must not see it in a log.
  if (!key) throw new UsageError('--api-key-var: there is no environment variable of that name, or it is empty');
  return key;
}
