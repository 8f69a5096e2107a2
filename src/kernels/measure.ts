/**
 * @file What something would allocate on a device, without a device: the same code runs against one that only takes notes,
 * so that the figures cannot differ from what a real one is asked for.
 */
import { Gpu } from './gpu';

/** A buffer that would be alive. */
export interface Allocation {
  label: string;
  bytes: number;
}

/** What decides whether a buffer, a binding or a kernel is possible. */
export type DeviceLimits = Pick<
  GPUSupportedLimits,
  'maxBufferSize' | 'maxStorageBufferBindingSize' | 'maxStorageBuffersPerShaderStage'
>;

/** What every WebGPU device has at the least. */
export const DEFAULT_LIMITS: DeviceLimits = {
  maxBufferSize: 256 * 2 ** 20,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxStorageBuffersPerShaderStage: 8,
};

/**
 * Runs `make` on a device that has these limits and allocates nothing.
 * @returns the buffers that are alive when it is done, in the order of their creation
 * @throws whatever `make` throws, such as GpuLimitError for a buffer or a binding larger than the limits
 */
export async function measureAllocations(
  limits: DeviceLimits,
  make: (gpu: Gpu) => Promise<unknown>,
): Promise<Allocation[]> {
  const alive = new Set<Allocation>();
  await make(Gpu.fromDevice(notingDevice(limits, alive), 'a device that only takes notes'));
  return [...alive];
}

function notingDevice(limits: DeviceLimits, alive: Set<Allocation>): GPUDevice {
  const nothing = () => undefined;
  const handle = () => ({});
  const device = {
    limits,
    features: new Set<string>(),
    lost: new Promise<never>(nothing),
    queue: { writeBuffer: nothing },
    addEventListener: nothing,
    pushErrorScope: nothing,
    popErrorScope: () => Promise.resolve(null),
    createShaderModule: handle,
    createBindGroupLayout: handle,
    createPipelineLayout: handle,
    createComputePipelineAsync: () => Promise.resolve({}),
    createBindGroup: handle,
    createBuffer: ({ label = '', size }: GPUBufferDescriptor) => {
      const allocation = { label, bytes: size };
      alive.add(allocation);
      return { label, size, destroy: () => alive.delete(allocation) };
    },
    destroy: nothing,
  };
  return device as unknown as GPUDevice;
}
