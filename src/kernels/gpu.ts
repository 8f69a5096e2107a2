/**
 * @file The device: acquired once, with everything the adapter allows, and counted.
 *
 * Every object this library creates and every dispatch it encodes passes through a `Gpu`, so that
 * `gpu.stats` tells what a step cost. Errors that WebGPU reports asynchronously (validation, lost device)
 * are kept and thrown at the next `check()`, which every submission and readback calls.
 */
import { DeviceLostError, GpuLimitError, GpuMemoryError, GpuValidationError, NoAdapterError } from './errors';
import type { Kernel } from './kernel';
import { specialize } from './kernel';

/** Running totals since the device was acquired. Take a copy before and after what you want to measure. */
export interface GpuStats {
  dispatches: number;
  submits: number;
  buffers: number;
  bufferBytes: number;
  bindGroups: number;
  pipelines: number;
  bytesWritten: number;
  bytesRead: number;
}

/** Where a device may come from: `navigator.gpu`, or Dawn's `create([])` in Node. */
export type GpuProvider = GPU;

export interface AcquireOptions {
  /** Default: `navigator.gpu`. */
  provider?: GpuProvider | undefined;
  powerPreference?: GPUPowerPreference;
}

/** Limits worth raising to what the adapter has. Kernels still fit WebGPU's defaults unless a variant says otherwise. */
const RAISED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
] as const;

/** GPUShaderStage.COMPUTE; the enum objects are globals in browsers only. */
const SHADER_STAGE_COMPUTE = 0x4;

const OPTIONAL_FEATURES: GPUFeatureName[] = ['timestamp-query', 'subgroups', 'shader-f16'];

/** A pipeline with the layout of its one bind group. */
export interface CompiledKernel {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

export class Gpu {
  readonly stats: GpuStats = {
    dispatches: 0,
    submits: 0,
    buffers: 0,
    bufferBytes: 0,
    bindGroups: 0,
    pipelines: 0,
    bytesWritten: 0,
    bytesRead: 0,
  };
  /** Bytes of the buffers that are alive now. */
  liveBytes = 0;
  /** Rejects, never resolves, once the device is lost. Race long waits against it. */
  readonly lost: Promise<never>;

  #failure: Error | undefined;
  #destroyed = false;
  readonly #pipelines = new Map<string, Promise<CompiledKernel>>();
  readonly #buffers = new Set<GPUBuffer>();

  private constructor(
    readonly device: GPUDevice,
    /** Vendor, architecture, device and description in one line; what "same adapter" means in a report. */
    readonly adapterName: string,
    // Dawn for Node frees the instance when the GPU object is collected, even while its device lives on, and the
    // process dies of a corrupted heap: hold provider and adapter as long as the device.
    protected readonly keepAlive: readonly unknown[],
  ) {
    device.addEventListener('uncapturederror', (event) => {
      this.#failure ??= new GpuValidationError(event.error.message);
    });
    this.lost = device.lost.then((info) => {
      const error = new DeviceLostError(info.reason, info.message);
      this.#failure = error;
      throw error;
    });
    this.lost.catch(() => undefined); // seen by whoever races against it; not an unhandled rejection otherwise
  }

  /**
   * Acquires an adapter and a device with the adapter's own limits.
   * @throws NoAdapterError when there is no WebGPU or no adapter.
   */
  static async acquire(options: AcquireOptions = {}): Promise<Gpu> {
    const provider = options.provider ?? (globalThis.navigator as Navigator | undefined)?.gpu;
    if (!provider) throw new NoAdapterError('This browser has no WebGPU (navigator.gpu is missing).');
    const adapter = await provider.requestAdapter({
      powerPreference: options.powerPreference ?? 'high-performance',
    });
    if (!adapter) throw new NoAdapterError('WebGPU is present but offers no adapter: no usable GPU or driver.');
    const requiredLimits: Record<string, number> = {};
    for (const limit of RAISED_LIMITS) requiredLimits[limit] = adapter.limits[limit];
    const device = await adapter.requestDevice({
      requiredLimits,
      requiredFeatures: OPTIONAL_FEATURES.filter((feature) => adapter.features.has(feature)),
    });
    const { vendor, architecture, device: model, description } = adapter.info;
    const name = [...new Set([vendor, architecture, model, description].filter(Boolean))].join(' ');
    return new Gpu(device, name || 'unnamed adapter', [provider, adapter]);
  }

  /** Wraps a device that somebody else acquired (tests, an application with a device of its own). */
  static fromDevice(device: GPUDevice, adapterName = 'injected device', keepAlive: readonly unknown[] = []): Gpu {
    return new Gpu(device, adapterName, keepAlive);
  }

  /** Throws what WebGPU reported since the last call: a lost device, or a validation error (a bug). */
  check(): void {
    if (this.#failure) throw this.#failure;
    if (this.#destroyed) throw new DeviceLostError('destroyed', 'this Gpu was destroyed');
  }

  /**
   * Creates a buffer and checks it against the device's limits first.
   * @param label what it is, for messages
   * @throws GpuLimitError when it is larger than one buffer may be
   */
  createBuffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    this.check();
    const limit = this.device.limits.maxBufferSize;
    if (size > limit) {
      throw new GpuLimitError(
        `${label} needs ${formatBytes(size)} in one buffer; this device allows ${formatBytes(limit)}`,
      );
    }
    const buffer = this.device.createBuffer({ label, size, usage });
    this.stats.buffers++;
    this.stats.bufferBytes += size;
    this.liveBytes += size;
    this.#buffers.add(buffer);
    return buffer;
  }

  /** Frees a buffer. Safe to call twice. */
  destroyBuffer(buffer: GPUBuffer): void {
    if (!this.#buffers.delete(buffer)) return;
    this.liveBytes -= buffer.size;
    buffer.destroy();
  }

  /**
   * Runs `create` inside error scopes, so that out-of-memory and validation errors become exceptions here and not
   * silent null buffers later. Buffers created inside are freed when it fails. `create` is synchronous because error
   * scopes are a stack: an await inside would catch the errors of whoever ran meanwhile.
   * @throws GpuMemoryError, GpuValidationError
   */
  async guarded<T>(what: string, create: () => T): Promise<T> {
    this.check();
    const before = new Set(this.#buffers);
    this.device.pushErrorScope('validation');
    this.device.pushErrorScope('out-of-memory');
    let result: T | undefined;
    let thrown: Error | undefined;
    try {
      result = create();
    } catch (error) {
      thrown = error instanceof Error ? error : new Error(`${what}: ${String(error)}`);
    }
    const scopes = [this.device.popErrorScope(), this.device.popErrorScope()];
    const [memory, validation] = await this.race(Promise.all(scopes));
    if (memory) thrown = new GpuMemoryError(`${what}: the GPU is out of memory (${memory.message})`);
    else if (validation) thrown ??= new GpuValidationError(`${what}: ${validation.message}`);
    if (thrown) {
      for (const buffer of this.#buffers) if (!before.has(buffer)) this.destroyBuffer(buffer);
      throw thrown;
    }
    return result as T;
  }

  /** Compiles a kernel with its constants, once; later calls share the pipeline. */
  compile(kernel: Kernel, constants: Readonly<Record<string, number>>): Promise<CompiledKernel> {
    const key = `${kernel.name} ${JSON.stringify(constants)}`;
    let compiled = this.#pipelines.get(key);
    if (!compiled) {
      compiled = this.#compile(kernel, constants, key);
      this.#pipelines.set(key, compiled);
    }
    return compiled;
  }

  async #compile(kernel: Kernel, constants: Readonly<Record<string, number>>, label: string): Promise<CompiledKernel> {
    this.check();
    const { code, bindings } = specialize(kernel, constants);
    const storage = bindings.filter((binding) => binding.kind !== 'uniform').length;
    const limit = this.device.limits.maxStorageBuffersPerShaderStage;
    if (storage > limit) {
      throw new GpuLimitError(`kernel ${label} binds ${storage} storage buffers; this device allows ${limit}`);
    }
    const module = this.device.createShaderModule({ label, code });
    const layout = this.device.createBindGroupLayout({
      label,
      entries: bindings.map(({ binding, kind }) => ({
        binding,
        visibility: SHADER_STAGE_COMPUTE,
        buffer: { type: kind },
      })),
    });
    try {
      const pipeline = await this.device.createComputePipelineAsync({
        label,
        layout: this.device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      this.stats.pipelines++;
      return { pipeline, layout };
    } catch (error) {
      this.check();
      const info = await module.getCompilationInfo();
      const messages = info.messages.map((m) => `  line ${m.lineNum}: ${m.message}`).join('\n');
      throw new GpuValidationError(`kernel ${label} does not compile:\n${messages || String(error)}`);
    }
  }

  /** Writes host data into a buffer at a byte offset, counted. */
  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.device.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength);
    this.stats.bytesWritten += data.byteLength;
  }

  /** Waits for `promise`, or fails with the device's own error when the device goes first. */
  async race<T>(promise: Promise<T>): Promise<T> {
    try {
      const value = await Promise.race([promise, this.lost]);
      this.check();
      return value;
    } catch (error) {
      // mapAsync rejects a little before device.lost settles: prefer the error that says why.
      await Promise.race([this.lost, new Promise((resolve) => setTimeout(resolve, 50))]);
      this.check();
      throw error;
    }
  }

  /** Resolves when everything submitted so far is done. */
  async idle(): Promise<void> {
    await this.race(this.device.queue.onSubmittedWorkDone());
  }

  /** Frees every buffer and the device. Later calls fail with DeviceLostError. */
  destroy(): void {
    this.#destroyed = true;
    for (const buffer of [...this.#buffers]) this.destroyBuffer(buffer);
    this.device.destroy();
  }
}

/** Bytes as a person reads them: `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit === 0 ? bytes : bytes.toPrecision(3)} ${units[unit]}`;
}
