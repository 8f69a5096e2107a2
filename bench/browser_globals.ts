/**
 * @file What jax-js and TensorFlow.js find in a browser and not in Node: `navigator.gpu`, WebGPU's constants and classes, and
 * iterator helpers (which Node has from 22 on).
 */

/** The constants of the WebGPU specification that they read. */
const CONSTANTS = {
  GPUBufferUsage: {
    MAP_READ: 0x1,
    MAP_WRITE: 0x2,
    COPY_SRC: 0x4,
    COPY_DST: 0x8,
    INDEX: 0x10,
    VERTEX: 0x20,
    UNIFORM: 0x40,
    STORAGE: 0x80,
    INDIRECT: 0x100,
    QUERY_RESOLVE: 0x200,
  },
  GPUMapMode: { READ: 0x1, WRITE: 0x2 },
  GPUShaderStage: { VERTEX: 0x1, FRAGMENT: 0x2, COMPUTE: 0x4 },
};

/**
 * Installs a `navigator.gpu` that hands out this one device, so that all trainers run on the same one. It was acquired
 * with the adapter's own limits, which is what jax-js would ask for.
 */
export function installBrowserGlobals(device: GPUDevice): void {
  const adapter = {
    limits: device.limits,
    features: device.features,
    info: device.adapterInfo,
    requestDevice: () => Promise.resolve(device),
  };
  const navigator = { userAgent: 'Node.js', gpu: { requestAdapter: () => Promise.resolve(adapter) } };
  // Node 21 and later have a navigator of their own, without gpu, behind a getter.
  for (const [name, value] of Object.entries({ navigator, ...CONSTANTS, ...classesOf(device) })) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  installIteratorHelpers();
}

/** What `instanceof` is asked about. Nobody here makes textures. */
function classesOf(device: GPUDevice): Record<string, unknown> {
  const buffer = device.createBuffer({ size: 4, usage: CONSTANTS.GPUBufferUsage.COPY_DST });
  const { constructor: GPUBuffer } = Object.getPrototypeOf(buffer) as object;
  buffer.destroy();
  return { GPUBuffer, GPUTexture: class {}, GPUExternalTexture: class {} };
}

/** Lets `[...text.matchAll(re).map(f).filter(g)]` work, which jax-js's einsum does. */
function installIteratorHelpers(): void {
  const iterator = Object.getPrototypeOf(Object.getPrototypeOf([].values())) as Record<string, unknown>;
  iterator.map ??= function* <T, U>(this: Iterable<T>, transform: (value: T) => U) {
    for (const value of this) yield transform(value);
  };
  iterator.filter ??= function* <T>(this: Iterable<T>, keep: (value: T) => boolean) {
    for (const value of this) if (keep(value)) yield value;
  };
}
