/**
 * @file The device: acquired once, with everything the adapter allows, and counted.
 *
 * Every object this library creates and every dispatch it encodes passes through a `Gpu`, so that
 * `gpu.stats` tells what a step cost. Errors that WebGPU reports asynchronously (validation, lost device)
 * are kept and thrown at the next `check()`, which every submission and readback calls.
 */
import { DeviceLostError, GpuLimitError, GpuMemoryError, GpuValidationError, NoAdapterError } from './errors';
import type { Kernel } from './kernel';
import { HEADER_LINES, specialize } from './kernel';
import type { DispatchWatcher } from './profile';
import type { Tuner } from './tuner';

/** Running totals since the device was acquired. Take a copy before and after what you want to measure. */
export interface GpuStats {
  dispatches: number;
  submits: number;
  buffers: number;
  bufferBytes: number;
  bindGroups: number;
  /** Of the kernels that programs are recorded with. */
  pipelines: number;
  /** Of other kernels, which a tuner compared or chose. */
  tunerPipelines: number;
  /** Milliseconds that programs waited for a tuner. */
  tunerMs: number;
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

/**
 * How long a failed operation waits for the loss of the device that may have caused it. A safety net, not a measure: in
 * practice either the loss follows within milliseconds (seconds where a driver is reset), or it is a bug in this library.
 */
export const LOSS_NOTICE_MS = 10_000;

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
    tunerPipelines: 0,
    tunerMs: 0,
    bytesWritten: 0,
    bytesRead: 0,
  };
  /** Bytes of the buffers that are alive now. */
  liveBytes = 0;
  /** Chooses among kernels of the same bits for programs that are recorded from now on; without one, the base kernels. */
  tuner: Tuner | undefined;
  /** Watches every dispatch while there is one (startProfile); passes are then shorter and slower than without. */
  profiler: DispatchWatcher | undefined;

  /** Milliseconds between a submission and the end of its work, overlaps counted once; up to when that is known. */
  #busyMs = 0;
  #busyUntil = 0;
  #failure: Error | undefined;
  /** One per wait that goes on now (`race`): rejects it. Gone once the wait is over, so that waits leave nothing behind. */
  readonly #waits = new Set<(error: Error) => void>();
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
      this.#fail(new GpuValidationError(event.error.message));
    });
    void device.lost.then((info) => this.#fail(new DeviceLostError(info.reason, info.message)));
  }

  /** Keeps an error for the next `check()` and ends every wait with it. A loss says more than what went before it. */
  #fail(error: Error): void {
    if (!this.#failure || error instanceof DeviceLostError) this.#failure = error;
    for (const reject of [...this.#waits]) reject(this.#failure);
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
    // Looked up now: while the scopes are awaited, others create buffers of their own.
    const made = [...this.#buffers].filter((buffer) => !before.has(buffer));
    const scopes = [this.device.popErrorScope(), this.device.popErrorScope()];
    try {
      const [memory, validation] = await this.race(Promise.all(scopes));
      if (memory) throw new GpuMemoryError(`${what}: the GPU is out of memory (${memory.message})`);
      if (thrown) throw thrown;
      if (validation) throw new GpuValidationError(`${what}: ${validation.message}`);
    } catch (error) {
      for (const buffer of made) this.destroyBuffer(buffer);
      throw error;
    }
    return result as T;
  }

  /**
   * Compiles a kernel with its constants, once; later calls share the pipeline.
   * @param count where in `stats` a new pipeline counts
   */
  compile(
    kernel: Kernel,
    constants: Readonly<Record<string, number>>,
    count: 'pipelines' | 'tunerPipelines' = 'pipelines',
  ): Promise<CompiledKernel> {
    const key = `${kernel.name} ${JSON.stringify(constants)}`;
    let compiled = this.#pipelines.get(key);
    if (!compiled) {
      compiled = this.#compile(kernel, constants, key, count);
      this.#pipelines.set(key, compiled);
    }
    return compiled;
  }

  async #compile(
    kernel: Kernel,
    constants: Readonly<Record<string, number>>,
    label: string,
    count: 'pipelines' | 'tunerPipelines',
  ): Promise<CompiledKernel> {
    this.check();
    const { code, bindings } = specialize(kernel, constants);
    const storage = bindings.filter((binding) => binding.kind !== 'uniform').length;
    const limit = this.device.limits.maxStorageBuffersPerShaderStage;
    if (storage > limit) {
      throw new GpuLimitError(`kernel ${label} binds ${storage} storage buffers; this device allows ${limit}`);
    }
    // A faulty kernel is reported here, with its name and line, and not as an anonymous error of the device.
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ label, code });
    const layout = this.device.createBindGroupLayout({
      label,
      entries: bindings.map(({ binding, kind }) => ({
        binding,
        visibility: SHADER_STAGE_COMPUTE,
        buffer: { type: kind },
      })),
    });
    const pipelineLayout = this.device.createPipelineLayout({ label, bindGroupLayouts: [layout] });
    const scope = this.device.popErrorScope().catch(() => null);
    const compute = { module, entryPoint: 'main' };
    const compiling = this.device.createComputePipelineAsync({ label, layout: pipelineLayout, compute });
    try {
      const pipeline = await this.race(compiling);
      this.stats[count]++;
      return { pipeline, layout };
    } catch (error) {
      if (error === this.#failure) throw error; // the device's own trouble, not the kernel's
      const { messages } = await module.getCompilationInfo();
      const text = messages.map(({ lineNum, message }) => `  line ${lineNum - HEADER_LINES}: ${message}`).join('\n');
      const reason = text || `  ${(await scope)?.message ?? String(error)}`;
      throw new GpuValidationError(`kernel ${label} does not compile:\n${reason}`);
    }
  }

  /** Writes host data into a buffer at a byte offset, counted. */
  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.device.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength);
    this.stats.bytesWritten += data.byteLength;
  }

  /**
   * Waits for an operation of the device, or fails with the device's own error when the device goes first.
   *
   * An operation that is aborted is most often the first sign of a lost device, whose `lost` settles a little later, in
   * a driver reset much later: the error that says why is waited for, at most LOSS_NOTICE_MS. It never comes when the
   * operation failed for a reason of its own, such as a buffer destroyed while it was being mapped.
   */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let notice: ReturnType<typeof setTimeout> | undefined;
      const end = (settle: () => void) => {
        clearTimeout(notice);
        this.#waits.delete(fail);
        settle();
      };
      const fail = (error: Error) => end(() => reject(error));
      promise.then(
        (value) => {
          if (this.#failure) fail(this.#failure);
          else end(() => resolve(value));
        },
        (error: Error) => {
          if (this.#failure || !isAbort(error)) fail(this.#failure ?? error);
          else notice = setTimeout(() => fail(error), LOSS_NOTICE_MS);
        },
      );
      if (this.#failure) fail(this.#failure);
      else this.#waits.add(fail);
    });
  }

  /** To be called after every submission: keeps account of how long the queue has something to do. */
  submitted(): void {
    const at = performance.now();
    this.device.queue.onSubmittedWorkDone().then(
      () => {
        const end = performance.now();
        this.#busyMs += end - Math.max(at, this.#busyUntil);
        this.#busyUntil = end;
      },
      () => undefined, // the device is lost, and says so elsewhere
    );
  }

  /** A clock of phases: how long each took, and for how much of it the queue had something to do. */
  clock(): { lap(): { seconds: number; busySeconds: number } } {
    let at = performance.now();
    let busy = this.#busyMs;
    return {
      lap: () => {
        const now = performance.now();
        const phase = { seconds: (now - at) / 1000, busySeconds: (this.#busyMs - busy) / 1000 };
        at = now;
        busy = this.#busyMs;
        return phase;
      },
    };
  }

  /** Operations that are waited for now. */
  get waiting(): number {
    return this.#waits.size;
  }

  /** Resolves when everything submitted so far is done. */
  async idle(): Promise<void> {
    await this.race(this.device.queue.onSubmittedWorkDone());
  }

  /** Frees every buffer and the device. Waits in flight and later calls fail with DeviceLostError. */
  destroy(): void {
    this.#fail(new DeviceLostError('destroyed', 'this Gpu was destroyed'));
    for (const buffer of [...this.#buffers]) this.destroyBuffer(buffer);
    this.device.destroy();
  }
}

/** Whether an operation was given up by the device (mapAsync, popErrorScope), by the names that the specification has. */
function isAbort({ name }: Error): boolean {
  return name === 'AbortError' || name === 'OperationError';
}

/** Bytes as a person reads them: `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit === 0 ? bytes : Number(bytes.toPrecision(3))} ${units[unit]}`;
}
