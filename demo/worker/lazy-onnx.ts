/** @file ONNX models in the page. ONNX Runtime's two files lie beside the page's own: nothing comes from elsewhere. */
import mjs from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import { loadTransformers } from '../../src/model';
import type { TransformersModel, TransformersOptions } from '../../src/model';

/** An ONNX model of the hub, or one whose folder the page serves. */
export function loadOnnx(
  options: Omit<TransformersOptions, 'runtime' | 'device'> & { device: 'webgpu' | 'wasm' },
): Promise<TransformersModel> {
  const here = (file: string) => new URL(file, self.location.href).href;
  return loadTransformers({ ...options, runtime: { mjs: here(mjs), wasm: here(wasm) } });
}
