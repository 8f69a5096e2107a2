/**
 * @file WebGPU in Node, through Dawn (npm `webgpu`). Uses the machine's GPU where Vulkan or Metal finds one, else Mesa's
 * lavapipe, else the SwiftShader that Chromium ships. The choice depends on the machine, never on timing.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { Gpu, NoAdapterError } from '../src/kernels';

interface Dawn {
  create: (options: string[]) => GPU;
}

/** Where Chromium and Chrome keep SwiftShader's Vulkan manifest. */
const SWIFTSHADER_MANIFESTS = [
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
];

/** A Dawn toggle: timestamps as the GPU took them, and not rounded as in a browser. */
export const EXACT_TIMESTAMPS = 'disable-dawn-features=timestamp_quantization';

/**
 * Acquires a device.
 * @param options.toggles Dawn toggles, such as EXACT_TIMESTAMPS
 * @throws NoAdapterError saying what to install
 */
export async function acquireNodeGpu(options: { toggles?: string[] } = {}): Promise<Gpu> {
  const { create } = await loadDawn();
  const toggles = options.toggles ?? [];
  try {
    return await Gpu.acquire({ provider: create(toggles) });
  } catch (error) {
    if (!(error instanceof NoAdapterError) || process.env.VK_ICD_FILENAMES) throw explain(error);
  }
  const manifest = [process.env.TERRARIUM_SWIFTSHADER ?? '', ...SWIFTSHADER_MANIFESTS].find((path) => existsSync(path));
  if (manifest) process.env.VK_ICD_FILENAMES = manifest;
  try {
    return await Gpu.acquire({ provider: create(toggles) });
  } catch (error) {
    throw explain(error);
  }
}

function explain(error: unknown): unknown {
  if (!(error instanceof NoAdapterError)) return error;
  return new NoAdapterError(
    `${error.message} In Node, WebGPU needs a Vulkan driver (Linux: mesa-vulkan-drivers 24 or newer, or Chromium's ` +
      'SwiftShader) or Metal (macOS). `npm test` installs or names what is missing.',
  );
}

async function loadDawn(): Promise<Dawn> {
  process.env.XDG_RUNTIME_DIR ??= '/tmp'; // lavapipe complains on stderr without it
  // A single-file bundle on a machine without npm names the native module itself.
  const path = process.env.DAWN_NODE;
  return path ? (createRequire(import.meta.url)(resolve(path)) as Dawn) : await import('webgpu');
}
