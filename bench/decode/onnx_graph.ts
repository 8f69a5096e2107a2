/**
 * @file An ONNX graph whose weights lie in a file of their own, written as they come: models of hundreds of megabytes never
 * lie in memory twice, and the 2 GB limit of protocol buffers is no matter.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { Message } from '../../tests/onnx/protobuf';

const FLOAT = 1;
const INT64 = 7;
const OPSET = 17;
const IR_VERSION = 8;
const EXTERNAL = 1;

/** ONNX Runtime's own operators. */
export const MICROSOFT = 'com.microsoft';

/** Whole numbers are integer attributes; others are wrapped. */
export type Attribute = number | { float: number };

interface NodeOptions {
  domain?: string;
  attributes?: Record<string, Attribute>;
  /** Names of the results, '' for one that nobody reads. */
  outputs: readonly string[];
}

export class OnnxGraph {
  readonly #nodes: Message[] = [];
  readonly #initializers: Message[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  readonly #file: number;
  #offset = 0;
  #names = 0;

  /** @param dataPath where weights are written; @param dataName the same as seen from the model's file */
  constructor(
    dataPath: string,
    private readonly dataName: string,
  ) {
    this.#file = openSync(dataPath, 'w');
  }

  /** A matrix or vector of weights, into the file beside. */
  weight(values: Float32Array, shape: readonly number[]): string {
    const name = this.#name('weight');
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#file, bytes, at);
    const entry = (key: string, value: string) => new Message().text(1, key).text(2, value);
    const tensor = describeTensor(name, FLOAT, shape);
    tensor.message(13, entry('location', this.dataName));
    tensor.message(13, entry('offset', `${this.#offset}`)).message(13, entry('length', `${bytes.length}`));
    this.#initializers.push(tensor.int(14, EXTERNAL));
    this.#offset += bytes.length;
    return name;
  }

  /** Whole numbers that say how, not what. */
  ints(values: readonly number[], shape: readonly number[] = [values.length]): string {
    const name = this.#name('ints');
    const array = BigInt64Array.from(values, BigInt);
    const tensor = describeTensor(name, INT64, shape).bytes(9, new Uint8Array(array.buffer));
    this.#initializers.push(tensor);
    return name;
  }

  /** One operator; returns its first result's name. */
  node(type: string, inputs: readonly string[], options: Partial<NodeOptions> = {}): string {
    const { domain, attributes = {}, outputs = [this.#name(type)] } = options;
    const node = new Message();
    for (const input of inputs) node.text(1, input);
    for (const output of outputs) node.text(2, output);
    node.text(3, `${type}_${this.#nodes.length}`).text(4, type);
    for (const [key, value] of Object.entries(attributes)) {
      const attribute = new Message().text(1, key);
      if (typeof value === 'number') attribute.int(3, value).int(20, 2);
      else attribute.float(2, value.float).int(20, 1);
      node.message(5, attribute);
    }
    if (domain !== undefined) node.text(7, domain);
    this.#nodes.push(node);
    return outputs[0]!;
  }

  input(name: string, type: 'float' | 'int64', shape: readonly (string | number)[]): string {
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(name: string, shape: readonly (string | number)[]): string {
    this.#outputs.push(valueInfo(name, 'float', shape));
    return name;
  }

  /** Ends the file of weights; the model's file. */
  finish(): Uint8Array {
    closeSync(this.#file);
    const graph = new Message();
    for (const node of this.#nodes) graph.message(1, node);
    graph.text(2, 'graph');
    for (const tensor of this.#initializers) graph.message(5, tensor);
    for (const input of this.#inputs) graph.message(11, input);
    for (const output of this.#outputs) graph.message(12, output);
    const model = new Message().int(1, IR_VERSION).text(2, 'terrarium').message(7, graph);
    for (const [domain, version] of [
      ['', OPSET],
      [MICROSOFT, 1],
    ] as const) {
      model.message(8, new Message().text(1, domain).int(2, version));
    }
    return model.encode();
  }

  #name(prefix: string): string {
    return `${prefix}_${this.#names++}`;
  }
}

function describeTensor(name: string, type: number, shape: readonly number[]): Message {
  const tensor = new Message();
  for (const size of shape) tensor.int(1, size);
  return tensor.int(2, type).text(8, name);
}

function valueInfo(name: string, type: 'float' | 'int64', shape: readonly (string | number)[]): Message {
  const dims = new Message();
  for (const size of shape) {
    dims.message(1, typeof size === 'number' ? new Message().int(1, size) : new Message().text(2, size));
  }
  const tensor = new Message().int(1, type === 'float' ? FLOAT : INT64).message(2, dims);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}
