/** @file What a folder of an ONNX model must hold, as transformers.js looks for it. */
import { CheckpointError } from '../errors';

/** Number formats of weights by what their file's name has in the middle, in the order of preference. */
const SUFFIXES = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4f16: '_q4f16',
  q4: '_q4',
  bnb4: '_bnb4',
} as const;

export type OnnxDtype = keyof typeof SUFFIXES;

/** True for a folder that holds, or means to hold, an ONNX model. */
export function looksLikeOnnx(files: readonly string[]): boolean {
  return files.some((file) => file.startsWith('onnx/') || file.endsWith('.onnx'));
}

/**
 * Checks that a folder is whole.
 * @param files paths in it: `onnx/model.onnx`
 * @param config its config.json, where that could be read
 * @returns the number format to load: the one asked for, or the most exact that is there
 * @throws CheckpointError naming every file that is missing
 */
export function checkOnnxFolder(
  name: string,
  files: readonly string[],
  { dtype, config }: { dtype?: OnnxDtype | undefined; config?: unknown } = {},
): OnnxDtype {
  const known = Object.keys(SUFFIXES) as OnnxDtype[];
  const pathOf = (each: OnnxDtype) => `onnx/model${SUFFIXES[each]}.onnx`;
  const chosen = dtype ?? known.find((each) => files.includes(pathOf(each)));
  const missing = ['config.json', 'tokenizer.json', 'tokenizer_config.json'].filter((file) => !files.includes(file));
  if (!chosen) missing.push(`onnx/model.onnx (nor ${known.slice(1).map(pathOf).join(', ')})`);
  else missing.push(...[pathOf(chosen), ...dataFiles(pathOf(chosen), config)].filter((file) => !files.includes(file)));
  if (missing.length > 0) {
    throw new CheckpointError(`${name}: ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing`);
  }
  return chosen!;
}

/** Files that hold a large model's weights beside its graph, as config.json announces them. */
function dataFiles(path: string, config: unknown): string[] {
  const { 'transformers.js_config': own } = Object(config) as Record<string, unknown>;
  const { use_external_data_format: external } = Object(own) as Record<string, unknown>;
  const name = path.slice('onnx/'.length);
  const byName = Object(external) as Record<string, unknown>;
  const count = Number(typeof external === 'object' ? (byName[name] ?? byName.model ?? 0) : (external ?? 0));
  return Array.from({ length: count }, (_, i) => `${path}_data${i === 0 ? '' : `_${i}`}`);
}
