/**
 * @file Counts what a library asks of WebGPU by wrapping the prototypes' methods: the same count for everyone, whatever a
 * library says of itself.
 */

export const COUNTED = [
  'dispatches',
  'submits',
  'bindGroups',
  'buffers',
  'pipelines',
  'writes',
  'bytesWritten',
  'bytesMapped',
] as const;

export type Counts = Record<(typeof COUNTED)[number], number>;

function zeros(): Counts {
  return Object.fromEntries(COUNTED.map((name) => [name, 0])) as Counts;
}

type Method = (...args: unknown[]) => unknown;

export class Counters {
  #now = zeros();
  #live = 0;
  #peak = 0;
  readonly #sizes = new WeakMap<object, number>();

  /** Counts from now on everything done on devices of this one's class. To be called once per process. */
  constructor(device: GPUDevice) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.end();
    encoder.finish();
    const probe = device.createBuffer({ size: 4, usage: 0x8 });
    this.#count(device, 'createBindGroup', 'bindGroups');
    this.#count(device, 'createComputePipeline', 'pipelines');
    this.#count(device, 'createComputePipelineAsync', 'pipelines');
    this.#count(device.queue, 'submit', 'submits');
    this.#count(pass, 'dispatchWorkgroups', 'dispatches');
    this.#count(pass, 'dispatchWorkgroupsIndirect', 'dispatches');
    wrap(device.queue, 'writeBuffer', (_, [, , data, offset, size]) => {
      this.#now.writes++;
      this.#now.bytesWritten += writtenBytes(data as ArrayBuffer | ArrayBufferView, offset, size);
    });
    wrap(device, 'createBuffer', (buffer, [descriptor]) => {
      const { size } = descriptor as GPUBufferDescriptor;
      this.#now.buffers++;
      this.#sizes.set(buffer as object, size);
      this.#live += size;
      this.#peak = Math.max(this.#peak, this.#live);
    });
    wrap(probe, 'destroy', (_, __, buffer) => {
      this.#live -= this.#sizes.get(buffer) ?? 0;
      this.#sizes.delete(buffer);
    });
    wrap(probe, 'getMappedRange', (range) => {
      this.#now.bytesMapped += (range as ArrayBuffer).byteLength;
    });
    probe.destroy();
  }

  /** What happened since the last call. */
  take(): Counts {
    const counts = this.#now;
    this.#now = zeros();
    return counts;
  }

  /** Most bytes of buffers that were alive at once since the last call, those made before the first call left out. */
  takePeak(): number {
    const peak = this.#peak;
    this.#peak = this.#live;
    return peak;
  }

  #count<T extends object>(instance: T, method: keyof T & string, counted: keyof Counts): void {
    wrap(instance, method, () => this.#now[counted]++);
  }
}

/** Calls `after` with the result, the arguments and the object whenever a method of this one's class was called. */
function wrap<T extends object>(
  instance: T,
  method: keyof T & string,
  after: (result: unknown, args: unknown[], self: object) => void,
): void {
  const prototype = Object.getPrototypeOf(instance) as Record<string, Method>;
  const original = prototype[method];
  if (!original) throw new Error(`${method} is not a method of the prototype: it cannot be counted`);
  prototype[method] = function (this: object, ...args: unknown[]) {
    const result = original.apply(this, args);
    after(result, args, this);
    return result;
  };
}

/** Bytes of a `writeBuffer`: offset and size count elements of a typed array, bytes of anything else. */
function writtenBytes(data: ArrayBuffer | ArrayBufferView, offset: unknown, size: unknown): number {
  const unit = 'BYTES_PER_ELEMENT' in data ? (data.BYTES_PER_ELEMENT as number) : 1;
  if (typeof size === 'number') return size * unit;
  return data.byteLength - (typeof offset === 'number' ? offset * unit : 0);
}
