/**
 * @file One of our checkpoints as an ONNX folder in the layout of transformers.js, with key-value cache. Written from the
 * model's equations and not from our kernels, so it is an oracle for them too.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diskFolder } from '../../cli/files';
import { loadCheckpoint } from '../../src/model';
import type { Checkpoint } from '../../src/model';
import { Graph } from './graph';

/** Writes the folder of a Llama or Qwen3 checkpoint. Without `cache` the graph computes every position anew. */
export async function exportOnnx(checkpoint: string, to: string, { cache = true } = {}): Promise<void> {
  mkdirSync(join(to, 'onnx'), { recursive: true });
  for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(join(checkpoint, file), join(to, file));
  }
  const config = JSON.parse(readFileSync(join(checkpoint, 'config.json'), 'utf8')) as Record<string, unknown>;
  // What an unwary engine would follow: the client must not.
  const generation = { eos_token_id: config.eos_token_id, repetition_penalty: 5, top_k: 1, do_sample: true };
  writeFileSync(join(to, 'generation_config.json'), JSON.stringify(generation));
  writeFileSync(join(to, 'onnx/model.onnx'), graphOf(await loadCheckpoint(diskFolder(checkpoint)), cache));
}

function graphOf({ config, tensors }: Checkpoint, cache: boolean): Uint8Array {
  const { hiddenSize: D, heads: H, kvHeads: K, headDim, vocabSize: V, maxPositions, rmsNormEps, ropeTheta } = config;
  const g = new Graph();
  const weight = (name: string) => tensors.get(name)!.values;
  const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  const mask = g.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  const positions = g.input('position_ids', 'int64', ['batch_size', 'sequence_length']);

  const ints = (...values: number[]) => g.constant(values, [values.length]);
  const linear = (x: string, name: string, inputs: number) => {
    const rows = weight(name);
    const outputs = rows.length / inputs;
    const turned = Float32Array.from(rows, (_, i) => rows[(i % outputs) * inputs + Math.floor(i / outputs)]!);
    return g.op('MatMul', [x, g.constant(turned, [inputs, outputs])]);
  };
  const norm = (x: string, name: string) => {
    const mean = g.op('ReduceMean', [g.op('Mul', [x, x])], { axes: [lastAxis(x)], keepdims: 1 });
    const root = g.op('Sqrt', [g.op('Add', [mean, g.scalar(rmsNormEps)])]);
    const values = weight(name);
    return g.op('Mul', [g.op('Div', [x, root]), g.constant(values, [values.length])]);
  };
  /** Rank 4 for heads, 3 otherwise: negative axes are two's complement in this small writer's varints. */
  const ranks = new Map<string, number>();
  const lastAxis = (x: string) => (ranks.get(x) ?? 3) - 1;
  const table = (of: (angle: number) => number) => {
    const values = Float32Array.from({ length: maxPositions * headDim }, (_, i) => {
      const frequency = ropeTheta ** ((-2 * (i % (headDim / 2))) / headDim);
      return of(Math.floor(i / headDim) * frequency);
    });
    const rows = g.op('Gather', [g.constant(values, [maxPositions, headDim]), positions], { axis: 0 });
    return g.op('Unsqueeze', [rows, ints(1)]);
  };
  const [cosines, sines] = [table(Math.cos), table(Math.sin)];
  const rotate = (x: string) => {
    const first = g.op('Slice', [x, ints(0), ints(headDim / 2), ints(3)]);
    const second = g.op('Slice', [x, ints(headDim / 2), ints(headDim), ints(3)]);
    const turned = g.op('Concat', [g.op('Neg', [second]), first], { axis: 3 });
    return g.op('Add', [g.op('Mul', [x, cosines]), g.op('Mul', [turned, sines])]);
  };
  const heads = (x: string, count: number, normName?: string) => {
    let split = g.op('Reshape', [x, ints(0, 0, count, headDim)]);
    ranks.set(split, 4);
    if (normName !== undefined) split = norm(split, normName);
    return g.op('Transpose', [split], { perm: [0, 2, 1, 3] });
  };
  /** [batch, K, keys, headDim] as every query head sees it. */
  const shared = (x: string) => {
    const wide = g.op('Expand', [g.op('Unsqueeze', [x, ints(2)]), ints(1, 1, H / K, 1, 1)]);
    return g.op('Reshape', [wide, g.constant([0, H, -1, headDim], [4])]);
  };

  // Key t may be seen from position p when t <= p and the mask has it.
  const keys = g.op('Gather', [g.op('Shape', [mask]), g.constant([1], [])], { axis: 0 });
  const range = g.op('Range', [g.constant([0], []), keys, g.constant([1], [])]);
  const before = g.op('LessOrEqual', [range, g.op('Unsqueeze', [positions, ints(1, 3)])]);
  const there = g.op('Equal', [g.op('Unsqueeze', [mask, ints(1, 2)]), g.constant([1], [])]);
  const visible = g.op('And', [before, there]);

  const embedding = g.constant(weight('model.embed_tokens.weight'), [V, D]);
  let x = g.op('Gather', [embedding, ids], { axis: 0 });
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}`;
    const past = (which: string) =>
      g.input(`past_key_values.${layer}.${which}`, 'float', ['batch_size', K, 'past_sequence_length', headDim]);
    const normed = norm(x, `${at}.input_layernorm.weight`);
    const project = (which: string) => linear(normed, `${at}.self_attn.${which}_proj.weight`, D);
    const normOf = (which: string) => (config.qkNorm ? `${at}.self_attn.${which}_norm.weight` : undefined);
    const q = rotate(heads(project('q'), H, normOf('q')));
    const k = rotate(heads(project('k'), K, normOf('k')));
    const v = heads(project('v'), K);
    const extended = (which: string, rows: string) => {
      if (!cache) return rows;
      const all = g.op('Concat', [past(which), rows], { axis: 2 }, `present.${layer}.${which}`);
      g.output(all, ['batch_size', K, 'total_sequence_length', headDim]);
      return all;
    };
    const [allKeys, allValues] = [extended('key', k), extended('value', v)];
    const products = g.op('MatMul', [q, g.op('Transpose', [shared(allKeys)], { perm: [0, 1, 3, 2] })]);
    const scores = g.op('Mul', [products, g.scalar(1 / Math.sqrt(headDim))]);
    const shares = g.op('Softmax', [g.op('Where', [visible, scores, g.scalar(-1e9)])], { axis: 3 });
    const mixed = g.op('Transpose', [g.op('MatMul', [shares, shared(allValues)])], { perm: [0, 2, 1, 3] });
    const joined = g.op('Reshape', [mixed, ints(0, 0, H * headDim)]);
    x = g.op('Add', [x, linear(joined, `${at}.self_attn.o_proj.weight`, H * headDim)]);
    const inner = norm(x, `${at}.post_attention_layernorm.weight`);
    const gate = linear(inner, `${at}.mlp.gate_proj.weight`, D);
    const active = g.op('Mul', [gate, g.op('Sigmoid', [gate])]);
    const up = g.op('Mul', [active, linear(inner, `${at}.mlp.up_proj.weight`, D)]);
    x = g.op('Add', [x, linear(up, `${at}.mlp.down_proj.weight`, config.intermediateSize)]);
  }
  const final = norm(x, 'model.norm.weight');
  const head = config.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  g.op('Identity', [linear(final, head, D)], {}, 'logits');
  g.output('logits', ['batch_size', 'sequence_length', V]);
  return g.encode();
}
