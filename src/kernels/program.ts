/**
 * @file A program is a list of dispatches recorded once and replayed: pipelines, bind groups and buffers are made at
 * recording time; a replay writes one small uniform buffer, computes grids from the true counts and creates nothing.
 *
 *     const record = new Recorder(gpu, 'double');
 *     const rows = record.extent('rows', 1024);              // changes from run to run, up to 1024
 *     const x = record.input('x', [rows.capacity]);          // written by the host
 *     const y = record.tensor('y', [rows.capacity]);         // placed by the planner
 *     record.dispatch(doubleKernel, { bindings: { x, y }, params: { n: rows }, workgroups: () => [rows.value / 64] });
 *     const program = await record.finish({ keep: [y] });
 *     rows.set(100);
 *     const run = new Submission(gpu).run(program);
 *     const values = run.read(y, 100);
 *     run.submit();
 *     new Float32Array(await values);
 */
import { GpuLimitError } from './errors';
import type { CompiledKernel, Gpu } from './gpu';
import { formatBytes } from './gpu';
import type { Kernel, ParamField } from './kernel';
import { specialize } from './kernel';
import { plan } from './planner';
import type { Use } from './planner';
import { ALIGNMENT, Tensor, TENSOR_USAGE, align, bytesOf, checkBindable } from './tensor';
import type { DType } from './tensor';

/** A count that may differ in every run of a program, up to the capacity its buffers were made for. */
export class Extent {
  value = 0;

  constructor(
    readonly label: string,
    readonly capacity: number,
  ) {}

  /** @throws GpuLimitError when the value exceeds the capacity */
  set(value: number): void {
    if (!Number.isInteger(value) || value < 0) throw new RangeError(`${this.label} = ${value} is not a count`);
    if (value > this.capacity) {
      throw new GpuLimitError(`${this.label} = ${value}, but this program was recorded for at most ${this.capacity}`);
    }
    this.value = value;
  }
}

/** A scalar parameter: fixed, a count, or computed anew at every replay. */
export type Value = number | Extent | (() => number);

/** Reads a Value as it stands now. */
export function valueOf(value: Value): number {
  return typeof value === 'number' ? value : value instanceof Extent ? value.value : value();
}

export interface DispatchOptions {
  bindings: Record<string, Tensor>;
  params?: Record<string, Value>;
  constants?: Record<string, number>;
  /** Workgroups in x, y, z. A zero skips the dispatch. */
  workgroups: () => readonly number[];
  /** Floating-point operations, for cutting long programs into submits. */
  flops?: () => number;
}

interface Dispatch extends DispatchOptions {
  kernel: Kernel;
  compiled: CompiledKernel | undefined;
  bindGroup: GPUBindGroup | undefined;
  fields: readonly ParamField[];
  uniformOffset: number;
}

type Command = { type: 'dispatch'; dispatch: Dispatch } | { type: 'clear'; tensor: Tensor } | { type: 'cut' };

const MAIN = 'main';
const UNIFORM_USAGE = 0x40 | 0x8; // UNIFORM | COPY_DST
const STAGING_USAGE = 0x1 | 0x8; // MAP_READ | COPY_DST
const MAP_READ = 0x1;

/** Workgroups per dimension that every device allows. */
export const MAX_WORKGROUPS = 65535;

/** A one-dimensional grid folded into two dimensions where it is long; kernels read `id.x + id.y * groups.x`. */
export function grid1d(workgroups: number): readonly number[] {
  if (workgroups <= MAX_WORKGROUPS) return [workgroups];
  const rows = Math.ceil(workgroups / MAX_WORKGROUPS);
  return [Math.ceil(workgroups / rows), rows];
}

/** Whole tiles that cover `count`. */
export function tiles(count: number, size: number): number {
  return Math.ceil(count / size);
}

export class Recorder {
  readonly #inputs: Tensor[] = [];
  readonly #owned = new Set<Tensor>();
  readonly #segments = new Map<string, Command[]>();
  #current: Command[];
  #uniformBytes = 0;

  constructor(
    readonly gpu: Gpu,
    readonly label: string,
  ) {
    this.#current = [];
    this.#segments.set(MAIN, this.#current);
  }

  /** Starts or continues a named segment; a submission replays segments one by one. */
  segment(name: string): void {
    let commands = this.#segments.get(name);
    if (!commands) this.#segments.set(name, (commands = []));
    this.#current = commands;
  }

  extent(label: string, capacity: number): Extent {
    return new Extent(`${this.label}: ${label}`, capacity);
  }

  /** A tensor that the planner places; its contents last as long as the program uses them. */
  tensor(label: string, shape: readonly number[], dtype: DType = 'f32'): Tensor {
    const tensor = new Tensor(`${this.label}.${label}`, shape, dtype);
    checkBindable(this.gpu, tensor);
    this.#owned.add(tensor);
    return tensor;
  }

  /** A tensor in a buffer of its own region that nothing else shares: written by the host, or carried between runs. */
  input(label: string, shape: readonly number[], dtype: DType = 'f32'): Tensor {
    const tensor = new Tensor(`${this.label}.${label}`, shape, dtype);
    checkBindable(this.gpu, tensor);
    this.#inputs.push(tensor);
    return tensor;
  }

  /** Records a dispatch. Binding and parameter names must be those of the kernel, exactly. */
  dispatch(kernel: Kernel, options: DispatchOptions): void {
    const { bindings, params } = specialize(kernel, options.constants ?? {});
    const storage = bindings.filter((binding) => binding.kind !== 'uniform').map((binding) => binding.name);
    mustMatch(kernel, 'bindings', storage, Object.keys(options.bindings));
    const names = params.map((field) => field.name);
    mustMatch(kernel, 'params', names, Object.keys(options.params ?? {}));
    this.#current.push({
      type: 'dispatch',
      dispatch: {
        ...options,
        kernel,
        compiled: undefined,
        bindGroup: undefined,
        fields: params,
        uniformOffset: this.#uniformBytes,
      },
    });
    this.#uniformBytes += align(params.length * 4);
  }

  /** Fills a tensor with zeros at this point of the program. */
  clear(tensor: Tensor): void {
    this.#current.push({ type: 'clear', tensor });
  }

  /** Marks a place (a layer boundary) where a long program may be cut into two submits. */
  cut(): void {
    this.#current.push({ type: 'cut' });
  }

  /**
   * Compiles, plans memory and creates every object the program needs.
   * @param keep tensors to be read after a run, or carried from one segment or run to the next
   * @throws GpuLimitError, GpuMemoryError, GpuValidationError
   */
  async finish({ keep = [] }: { keep?: readonly Tensor[] } = {}): Promise<Program> {
    const { gpu, label } = this;
    const dispatches: Dispatch[] = [];
    const uses: Use[] = [];
    for (const commands of this.#segments.values()) {
      for (const command of commands) {
        if (command.type === 'dispatch') {
          dispatches.push(command.dispatch);
          uses.push(useOf(command.dispatch));
        } else if (command.type === 'clear') uses.push({ reads: [], writes: [command.tensor.root] });
      }
    }
    await Promise.all(
      dispatches.map(async (dispatch) => {
        dispatch.compiled = await gpu.compile(dispatch.kernel, dispatch.constants ?? {});
      }),
    );

    const planned = plan(
      this.#owned,
      uses,
      new Set(keep.map((tensor) => tensor.root)),
      gpu.device.limits.maxBufferSize,
    );
    const inputBytes = this.#inputs.reduce((sum, tensor) => sum + align(tensor.byteLength), 0);
    const total = planned.arenaBytes.reduce((sum, bytes) => sum + bytes, inputBytes + this.#uniformBytes);
    return gpu.guarded(`allocating ${label} (${formatBytes(total)})`, () => {
      const buffers: GPUBuffer[] = [];
      const create = (name: string, bytes: number, usage: number) => {
        const buffer = gpu.createBuffer(`${label} ${name}`, Math.max(ALIGNMENT, bytes), usage);
        buffers.push(buffer);
        return buffer;
      };
      const arenas = planned.arenaBytes.map((bytes, i) => create(`arena ${i}`, bytes, TENSOR_USAGE));
      for (const [tensor, { arena, offset }] of planned.places) {
        tensor.place(arenas[arena]!, offset);
      }
      // Inputs that a kernel writes (state carried between runs) must not share a buffer with those it reads.
      for (const tensor of this.#inputs) {
        tensor.place(create(tensor.label, tensor.byteLength, TENSOR_USAGE), 0);
      }
      const uniforms = create('uniforms', this.#uniformBytes, UNIFORM_USAGE);
      for (const dispatch of dispatches) this.#bind(dispatch, uniforms);
      return new Program(gpu, label, this.#segments, uniforms, this.#uniformBytes, buffers);
    });
  }

  #bind(dispatch: Dispatch, uniforms: GPUBuffer): void {
    const { gpu } = this;
    const { bindings } = specialize(dispatch.kernel, dispatch.constants ?? {});
    dispatch.bindGroup = gpu.device.createBindGroup({
      label: `${this.label} ${dispatch.kernel.name}`,
      layout: dispatch.compiled!.layout,
      entries: bindings.map(({ name, binding, kind }) => ({
        binding,
        resource:
          kind === 'uniform'
            ? { buffer: uniforms, offset: dispatch.uniformOffset, size: align(dispatch.fields.length * 4) }
            : dispatch.bindings[name]!.binding(),
      })),
    });
    gpu.stats.bindGroups++;
  }
}

function useOf(dispatch: Dispatch): Use {
  const { bindings } = specialize(dispatch.kernel, dispatch.constants ?? {});
  const pick = (kind: string) => bindings.filter((b) => b.kind === kind).map((b) => dispatch.bindings[b.name]!.root);
  const use = { reads: pick('read-only-storage'), writes: pick('storage') };
  const both = use.reads.find((tensor) => use.writes.includes(tensor));
  if (both) throw new Error(`kernel ${dispatch.kernel.name} would read and write ${both.label} through two bindings`);
  return use;
}

function mustMatch(kernel: Kernel, what: string, expected: readonly string[], given: readonly string[]): void {
  const missing = expected.filter((name) => !given.includes(name));
  const extra = given.filter((name) => !expected.includes(name));
  if (missing.length || extra.length) {
    throw new Error(`kernel ${kernel.name}: ${what} missing [${missing.join(', ')}], unknown [${extra.join(', ')}]`);
  }
}

export class Program {
  readonly #mirror: ArrayBuffer;
  readonly #words: Uint32Array<ArrayBuffer>;
  #pending: Submission | undefined;

  /** @internal made by Recorder.finish() */
  constructor(
    readonly gpu: Gpu,
    readonly label: string,
    readonly segments: ReadonlyMap<string, readonly Command[]>,
    readonly uniforms: GPUBuffer,
    uniformBytes: number,
    readonly buffers: readonly GPUBuffer[],
  ) {
    this.#mirror = new ArrayBuffer(uniformBytes);
    this.#words = new Uint32Array(this.#mirror);
  }

  /** Bytes of every buffer that belongs to this program alone. */
  get byteLength(): number {
    return this.buffers.reduce((sum, buffer) => sum + buffer.size, 0);
  }

  /**
   * Writes the parameters as they are now. A submission calls it; the values then stand for everything the submission
   * replays of this program.
   */
  upload(submission: Submission): void {
    const view = new DataView(this.#mirror);
    const before = this.#pending === submission ? this.#words.slice() : undefined;
    for (const commands of this.segments.values()) {
      for (const command of commands) {
        if (command.type !== 'dispatch') continue;
        const { fields, params, uniformOffset } = command.dispatch;
        for (const field of fields) {
          const value = valueOf(params![field.name]!);
          const offset = uniformOffset + field.offset;
          if (field.type === 'f32') view.setFloat32(offset, value, true);
          else if (field.type === 'i32') view.setInt32(offset, value, true);
          else view.setUint32(offset, value, true);
        }
      }
    }
    if (before?.some((word, i) => word !== this.#words[i])) {
      throw new Error(`program ${this.label} cannot run twice with different parameters in one submission`);
    }
    if (!before) this.gpu.write(this.uniforms, 0, this.#words);
    this.#pending = submission;
  }

  /** What a replay of a segment would dispatch with the counts as they are now. */
  costs(segment = MAIN): { kernel: string; workgroups: readonly number[]; flops: number }[] {
    return (this.segments.get(segment) ?? []).flatMap((command) => {
      if (command.type !== 'dispatch') return [];
      const { kernel, workgroups, flops } = command.dispatch;
      return [{ kernel: kernel.name, workgroups: workgroups(), flops: flops?.() ?? 0 }];
    });
  }

  /** Frees the program's buffers. */
  destroy(): void {
    for (const buffer of this.buffers) this.gpu.destroyBuffer(buffer);
  }
}

/**
 * Arithmetic that a GPU worth training on does in 50 ms (300 GFLOP/s: a weak integrated one). A submission longer than
 * this is cut at the next marked place, so that the page's own frames and a cancel get through.
 */
const FLOPS_PER_SUBMIT = 0.05 * 300e9;

interface Read {
  tensor: Tensor;
  bytes: number;
  offset: number;
  resolve: (data: ArrayBuffer) => void;
  reject: (error: unknown) => void;
}

/** One command buffer being encoded: program replays and readbacks, then `submit()`. */
export class Submission {
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #flops = 0;
  readonly #reads: Read[] = [];

  constructor(
    readonly gpu: Gpu,
    readonly label = 'submission',
  ) {
    gpu.check();
  }

  /** Appends a replay of one segment of a program. */
  run(program: Program, segment = MAIN): this {
    program.upload(this);
    const commands = program.segments.get(segment);
    if (!commands) throw new Error(`program ${program.label} has no segment ${segment}`);
    for (const command of commands) {
      if (command.type === 'dispatch') this.#dispatch(command.dispatch);
      else if (command.type === 'clear') this.clear(command.tensor);
      else if (this.#flops > FLOPS_PER_SUBMIT) this.#flush();
    }
    return this;
  }

  /** Fills a tensor with zeros. */
  clear(tensor: Tensor): this {
    this.#encode().clearBuffer(tensor.buffer, tensor.offset, align(tensor.byteLength));
    return this;
  }

  /** Copies a tensor's bytes to another tensor of the same size. */
  copy(source: Tensor, target: Tensor): this {
    if (source.byteLength !== target.byteLength)
      throw new Error(`copy ${source.label} -> ${target.label}: sizes differ`);
    this.#encode().copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset, source.byteLength);
    return this;
  }

  /**
   * Reads the first `length` elements of a tensor as they are after everything encoded before `submit()`.
   * @returns resolves after `submit()` with a copy of the bytes; rejects when the device is lost
   */
  read(tensor: Tensor, length = tensor.length): Promise<ArrayBuffer> {
    const offset = this.#reads.reduce((sum, read) => sum + Math.max(4, read.bytes), 0);
    const promise = new Promise<ArrayBuffer>((resolve, reject) => {
      this.#reads.push({ tensor, bytes: bytesOf(length, tensor.dtype), offset, resolve, reject });
    });
    // Of several reads that fail together a caller may see one only; the others are no unhandled rejections.
    promise.catch(() => undefined);
    return promise;
  }

  /** Sends everything to the GPU. The submission cannot be used again. */
  submit(): void {
    const bytes = this.#reads.reduce((sum, read) => sum + Math.max(4, read.bytes), 0);
    const staging = bytes > 0 ? takeStaging(this.gpu, bytes) : undefined;
    if (staging) {
      const encoder = this.#encode();
      for (const { tensor, bytes, offset } of this.#reads) {
        if (bytes > 0) encoder.copyBufferToBuffer(tensor.buffer, tensor.offset, staging, offset, bytes);
      }
    }
    this.#flush();
    if (staging) void this.#deliver(staging, bytes);
  }

  async #deliver(staging: GPUBuffer, bytes: number): Promise<void> {
    const { gpu } = this;
    try {
      await gpu.race(staging.mapAsync(MAP_READ, 0, bytes));
      const mapped = staging.getMappedRange(0, bytes);
      for (const read of this.#reads) read.resolve(mapped.slice(read.offset, read.offset + read.bytes));
      staging.unmap();
      gpu.stats.bytesRead += bytes;
      returnStaging(gpu, staging);
    } catch (error) {
      gpu.destroyBuffer(staging);
      for (const read of this.#reads) read.reject(error);
    }
  }

  #encode(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    return (this.#encoder ??= this.gpu.device.createCommandEncoder({ label: this.label }));
  }

  #dispatch({ kernel, compiled, bindGroup, workgroups, flops }: Dispatch): void {
    const [x = 1, y = 1, z = 1] = workgroups();
    if (x === 0 || y === 0 || z === 0) return;
    if (Math.max(x, y, z) > MAX_WORKGROUPS) {
      throw new GpuLimitError(`kernel ${kernel.name}: ${x} x ${y} x ${z} workgroups, at most ${MAX_WORKGROUPS} each`);
    }
    if (!this.#pass) this.#pass = this.#encode().beginComputePass();
    this.#pass.setPipeline(compiled!.pipeline);
    this.#pass.setBindGroup(0, bindGroup);
    this.#pass.dispatchWorkgroups(x, y, z);
    this.gpu.stats.dispatches++;
    this.#flops += flops?.() ?? 0;
  }

  #flush(): void {
    if (!this.#encoder) return;
    this.gpu.device.queue.submit([this.#encode().finish()]);
    this.gpu.stats.submits++;
    this.gpu.submitted();
    this.#encoder = undefined;
    this.#flops = 0;
  }
}

const MEBIBYTE = 2 ** 20;

/** Bytes of the buffer that a readback goes through: few sizes, so that buffers are used again, and little waste in large ones. */
export function stagingSize(bytes: number): number {
  if (bytes > MEBIBYTE) return Math.ceil(bytes / MEBIBYTE) * MEBIBYTE;
  let size = 4096;
  while (size < bytes) size *= 2;
  return size;
}

/** Staging buffers wait here between readbacks, so that the steady state creates none. */
const stagingPools = new WeakMap<Gpu, GPUBuffer[]>();

function takeStaging(gpu: Gpu, bytes: number): GPUBuffer {
  let pool = stagingPools.get(gpu);
  if (!pool) stagingPools.set(gpu, (pool = []));
  const index = pool.findIndex((buffer) => buffer.size >= bytes);
  if (index >= 0) return pool.splice(index, 1)[0]!;
  return gpu.createBuffer('staging', stagingSize(bytes), STAGING_USAGE);
}

function returnStaging(gpu: Gpu, buffer: GPUBuffer): void {
  const pool = stagingPools.get(gpu)!;
  pool.push(buffer);
  pool.sort((a, b) => a.size - b.size);
}
