/** @file ONNX graphs, written node by node: operators of the standard set, no contrib ones. */
import { Message } from './protobuf';

const FLOAT = 1;
const INT64 = 7;
const OPSET = 17;
const IR_VERSION = 8;

export type Attribute = number | readonly number[];

export class Graph {
  readonly #nodes: Message[] = [];
  readonly #initializers: Message[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  #names = 0;

  /** A tensor of numbers known beforehand. */
  constant(values: Float32Array | readonly number[], shape: readonly number[]): string {
    const name = this.#name('c');
    const floats = values instanceof Float32Array;
    const array = floats ? values : BigInt64Array.from(values, BigInt);
    const tensor = new Message();
    for (const size of shape) tensor.int(1, size);
    tensor.int(2, floats ? FLOAT : INT64).text(8, name);
    tensor.bytes(9, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    this.#initializers.push(tensor);
    return name;
  }

  scalar(value: number): string {
    return this.constant(new Float32Array([value]), []);
  }

  /** One operator with one result. A whole number is an integer attribute, a list one of integers. */
  op(type: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}, output?: string): string {
    const name = output ?? this.#name(type.toLowerCase());
    const node = new Message();
    for (const input of inputs) node.text(1, input);
    node.text(2, name).text(3, `${type}_${this.#nodes.length}`).text(4, type);
    for (const [key, value] of Object.entries(attributes)) {
      const attribute = new Message().text(1, key);
      if (typeof value === 'number') attribute.int(3, value).int(20, 2);
      else {
        for (const each of value) attribute.int(8, each);
        attribute.int(20, 7);
      }
      node.message(5, attribute);
    }
    this.#nodes.push(node);
    return name;
  }

  input(name: string, type: 'float' | 'int64', shape: readonly (string | number)[]): string {
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(name: string, shape: readonly (string | number)[]): void {
    this.#outputs.push(valueInfo(name, 'float', shape));
  }

  /** The file. */
  encode(): Uint8Array {
    const graph = new Message();
    for (const node of this.#nodes) graph.message(1, node);
    graph.text(2, 'graph');
    for (const tensor of this.#initializers) graph.message(5, tensor);
    for (const input of this.#inputs) graph.message(11, input);
    for (const output of this.#outputs) graph.message(12, output);
    const opset = new Message().text(1, '').int(2, OPSET);
    return new Message().int(1, IR_VERSION).text(2, 'terrarium').message(7, graph).message(8, opset).encode();
  }

  #name(prefix: string): string {
    return `${prefix}_${this.#names++}`;
  }
}

function valueInfo(name: string, type: 'float' | 'int64', shape: readonly (string | number)[]): Message {
  const dims = new Message();
  for (const size of shape) {
    dims.message(1, typeof size === 'number' ? new Message().int(1, size) : new Message().text(2, size));
  }
  const tensor = new Message().int(1, type === 'float' ? FLOAT : INT64).message(2, dims);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}
