/** @file Counts what really reaches a WebGPU device, independently of our own counters. */

const WATCHED = [
  'createBuffer',
  'createBindGroup',
  'createComputePipelineAsync',
  'createComputePipeline',
  'createShaderModule',
] as const;

type Name = (typeof WATCHED)[number] | 'submit' | 'dispatchWorkgroups' | 'commandBuffers';

export interface Counter {
  counts: Partial<Record<Name, number>>;
  stop: () => void;
}

type Method = (...args: unknown[]) => unknown;

/** Counts calls until `stop`. */
export function countCalls(device: GPUDevice): Counter {
  const counts: Counter['counts'] = {};
  const undo: (() => void)[] = [];
  const add = (name: Name, by = 1) => (counts[name] = (counts[name] ?? 0) + by);
  const wrap = (target: object, name: string, before: (args: unknown[]) => void) => {
    const methods = target as Record<string, Method>;
    const original = methods[name]!;
    methods[name] = function (this: unknown, ...args: unknown[]) {
      before(args);
      return original.apply(this, args);
    };
    undo.push(() => {
      if (Object.hasOwn(Object.getPrototypeOf(target) as object, name)) delete methods[name];
      else methods[name] = original;
    });
  };
  for (const name of WATCHED) wrap(device, name, () => add(name));
  wrap(device.queue, 'submit', ([buffers]) => {
    add('submit');
    add('commandBuffers', (buffers as unknown[]).length);
  });
  // Passes are made anew each time: watch them as they come.
  const encoders = device.createCommandEncoder.bind(device);
  (device as { createCommandEncoder: GPUDevice['createCommandEncoder'] }).createCommandEncoder = (descriptor) => {
    const encoder = encoders(descriptor);
    const passes = encoder.beginComputePass.bind(encoder);
    (encoder as { beginComputePass: GPUCommandEncoder['beginComputePass'] }).beginComputePass = (options) => {
      const pass = passes(options);
      wrap(pass, 'dispatchWorkgroups', () => add('dispatchWorkgroups'));
      return pass;
    };
    return encoder;
  };
  undo.push(() => delete (device as { createCommandEncoder?: unknown }).createCommandEncoder);
  return { counts, stop: () => undo.forEach((each) => each()) };
}
