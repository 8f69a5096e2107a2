/**
 * @file Counts what a trainer asks of WebGPU by wrapping the prototypes' methods: the same count for everyone, whatever
 * a library says of itself.
 */

export const COUNTED = ['dispatches', 'submits', 'bindGroups', 'buffers', 'pipelines', 'writes'] as const;

export type Counts = Record<(typeof COUNTED)[number], number>;

export class Counters {
  #now: Counts = { dispatches: 0, submits: 0, bindGroups: 0, buffers: 0, pipelines: 0, writes: 0 };

  /** Counts from now on everything done on devices of this one's class. */
  constructor(device: GPUDevice) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.end();
    encoder.finish();
    this.#wrap(device, 'createBindGroup', 'bindGroups');
    this.#wrap(device, 'createBuffer', 'buffers');
    this.#wrap(device, 'createComputePipeline', 'pipelines');
    this.#wrap(device, 'createComputePipelineAsync', 'pipelines');
    this.#wrap(device.queue, 'submit', 'submits');
    this.#wrap(device.queue, 'writeBuffer', 'writes');
    this.#wrap(pass, 'dispatchWorkgroups', 'dispatches');
    this.#wrap(pass, 'dispatchWorkgroupsIndirect', 'dispatches');
  }

  /** What happened since the last call. */
  take(): Counts {
    const counts = this.#now;
    this.#now = { dispatches: 0, submits: 0, bindGroups: 0, buffers: 0, pipelines: 0, writes: 0 };
    return counts;
  }

  #wrap<T extends object>(instance: T, method: keyof T & string, counted: keyof Counts): void {
    const prototype = Object.getPrototypeOf(instance) as Record<string, (...args: unknown[]) => unknown>;
    const original = prototype[method];
    if (!original) throw new Error(`${method} is not a method of the prototype: it cannot be counted`);
    const count = () => this.#now[counted]++;
    prototype[method] = function (this: unknown, ...args: unknown[]) {
      count();
      return original.apply(this, args);
    };
  }
}
