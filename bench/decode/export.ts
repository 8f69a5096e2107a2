/**
 * @file A Llama as the ONNX model that transformers.js users run: ONNX Runtime's fused operators as its model builder uses
 * them (GroupQueryAttention with rotary embedding and cache, norms fused with the residual's addition), q, k, v in one
 * product, logits of the last position alone.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatModelConfig } from '../../src/model';
import type { ModelConfig, TensorValues } from '../../src/model';
import { MICROSOFT, OnnxGraph } from './onnx_graph';

const INT32 = 6;

/**
 * Writes config.json and onnx/model.onnx with its weights beside it.
 * @param values weights by Hugging Face name; a Llama without biases and q/k norms
 */
export function exportLlama(folder: string, config: ModelConfig, values: TensorValues): void {
  if (config.qkvBias || config.qkNorm) throw new RangeError('only plain Llamas are exported for the benchmark');
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(formatModelConfig(config)));
  const graph = new OnnxGraph(join(folder, 'onnx/model.onnx_data'), 'model.onnx_data');
  describe(graph, config, values);
  writeFileSync(join(folder, 'onnx/model.onnx'), graph.finish());
}

function describe(g: OnnxGraph, config: ModelConfig, values: TensorValues): void {
  const { hiddenSize: D, heads: H, kvHeads: K, headDim, vocabSize: V, layers, intermediateSize: F } = config;
  const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  const mask = g.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  const vector = (name: string) => g.weight(values.get(name)!.values, values.get(name)!.shape);
  /** x W^T with the rows of several matrices side by side. */
  const linear = (x: string, inputs: number, ...names: string[]) => {
    const parts = names.map((name) => values.get(name)!.values);
    const outputs = parts.reduce((sum, part) => sum + part.length / inputs, 0);
    return g.node('MatMul', [x, g.weight(turned(parts, inputs, outputs), [inputs, outputs])]);
  };
  const epsilon = { float: config.rmsNormEps };
  /** The residual stream with `added`, and its norm. */
  const addAndNorm = (x: string, added: string, name: string, at: string): [sum: string, normed: string] => {
    const outputs = [`${at}_normed`, '', '', `${at}_sum`];
    g.node('SkipSimplifiedLayerNormalization', [x, added, vector(name)], {
      domain: MICROSOFT,
      attributes: { epsilon },
      outputs,
    });
    return [outputs[3]!, outputs[0]!];
  };

  // How long each sequence is, and all with padding.
  const int32 = (x: string) => g.node('Cast', [x], { attributes: { to: INT32 } });
  const lengths = g.node('ReduceSum', [mask, g.ints([1])], { attributes: { keepdims: 0 } });
  const lastPositions = int32(g.node('Sub', [lengths, g.ints([1])]));
  const total = int32(g.node('Gather', [g.node('Shape', [mask]), g.ints([1], [])], { attributes: { axis: 0 } }));
  const [cos, sin] = [Math.cos, Math.sin].map((f) =>
    g.weight(ropeCache(config, f), [config.maxPositions, headDim / 2]),
  );

  const cacheShape = (length: string) => ['batch_size', K, length, headDim];
  let x = g.node('Gather', [vector('model.embed_tokens.weight'), ids], { attributes: { axis: 0 } });
  let normed = g.node('SimplifiedLayerNormalization', [x, vector('model.layers.0.input_layernorm.weight')], {
    attributes: { epsilon },
  });
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    const cached = ['key', 'value'].map((which) => ({
      past: g.input(`past_key_values.${layer}.${which}`, 'float', cacheShape('past_sequence_length')),
      present: g.output(`present.${layer}.${which}`, cacheShape('total_sequence_length')),
    }));
    const qkv = linear(normed, D, ...['q', 'k', 'v'].map((which) => `${at}.self_attn.${which}_proj.weight`));
    const attended = g.node(
      'GroupQueryAttention',
      [qkv, '', '', ...cached.map(({ past }) => past), lastPositions, total, cos!, sin!],
      {
        domain: MICROSOFT,
        attributes: { num_heads: H, kv_num_heads: K, do_rotary: 1, scale: { float: 1 / Math.sqrt(headDim) } },
        outputs: [`attended_${layer}`, ...cached.map(({ present }) => present)],
      },
    );
    const out = linear(attended, H * headDim, `${at}.self_attn.o_proj.weight`);
    [x, normed] = addAndNorm(x, out, `${at}.post_attention_layernorm.weight`, `middle_${layer}`);
    const gate = linear(normed, D, `${at}.mlp.gate_proj.weight`);
    const up = linear(normed, D, `${at}.mlp.up_proj.weight`);
    const active = g.node('Mul', [g.node('Mul', [gate, g.node('Sigmoid', [gate])]), up]);
    const down = linear(active, F, `${at}.mlp.down_proj.weight`);
    const next = layer + 1 < layers ? `model.layers.${layer + 1}.input_layernorm.weight` : 'model.norm.weight';
    [x, normed] = addAndNorm(x, down, next, `end_${layer}`);
  }
  const last = g.node('Slice', [normed, g.ints([-1]), g.ints([2 ** 31 - 1]), g.ints([1])]);
  const logits = linear(last, D, config.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight');
  g.node('Identity', [logits], { outputs: [g.output('logits', ['batch_size', 1, V])] });
}

/** Matrices [rows, inputs], stacked and turned into [inputs, all rows]. */
function turned(parts: readonly Float32Array[], inputs: number, outputs: number): Float32Array {
  const result = new Float32Array(inputs * outputs);
  let column = 0;
  for (const part of parts) {
    for (let begin = 0; begin < part.length; begin += inputs, column++) {
      for (let i = 0; i < inputs; i++) result[i * outputs + column] = part[begin + i]!;
    }
  }
  return result;
}

/** [positions, headDim / 2] */
function ropeCache({ maxPositions, headDim, ropeTheta }: ModelConfig, f: (angle: number) => number): Float32Array {
  const half = headDim / 2;
  return Float32Array.from({ length: maxPositions * half }, (_, i) =>
    f(Math.floor(i / half) * ropeTheta ** ((-2 * (i % half)) / headDim)),
  );
}
