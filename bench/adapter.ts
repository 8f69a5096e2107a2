/** @file Which adapter is measured. */
import { existsSync } from 'node:fs';
import type { AdapterChoice } from './options';

/** Vulkan manifests of software adapters, where distributions and browsers put them. */
const MANIFESTS: Record<Exclude<AdapterChoice, 'default'>, readonly string[]> = {
  lavapipe: [
    '/usr/share/vulkan/icd.d/lvp_icd.json',
    '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json',
    '/usr/share/vulkan/icd.d/lvp_icd.aarch64.json',
  ],
  swiftshader: [
    '/usr/lib/chromium/vk_swiftshader_icd.json',
    '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
    '/opt/google/chrome/vk_swiftshader_icd.json',
  ],
};

/** Where SwiftShader is looked for first, as in the command line. */
const SWIFTSHADER_VARIABLE = 'TERRARIUM_SWIFTSHADER';

/**
 * Tells Vulkan's loader, before anything has asked it, which driver there is: for Dawn and for ONNX Runtime alike.
 * @param options.coldCaches keep drivers from using shaders compiled before: a first step would depend on what ran yesterday
 * @throws Error naming the places that were looked at
 */
export function chooseAdapter(
  choice: AdapterChoice,
  { coldCaches = true } = {},
  env: NodeJS.ProcessEnv = process.env,
): void {
  if (coldCaches) {
    env.MESA_SHADER_CACHE_DISABLE ??= 'true';
    env.__GL_SHADER_DISK_CACHE ??= '0';
  }
  if (choice === 'default') return;
  const named = choice === 'swiftshader' ? env[SWIFTSHADER_VARIABLE] : undefined;
  const places = named === undefined ? MANIFESTS[choice] : [named];
  const manifest = places.find((path) => existsSync(path));
  if (manifest === undefined) throw new Error(`--adapter ${choice}: there is no ${places.join(', no ')}`);
  env.VK_ICD_FILENAMES = manifest;
}
