/** @file What can go wrong with a GPU, each as its own class, so that callers can tell them apart. */

/** No WebGPU adapter could be had: the browser lacks WebGPU, it is switched off, or no driver was found. */
export class NoAdapterError extends Error {
  override name = 'NoAdapterError';
}

/** Something asked for exceeds what the device allows. Thrown before any work starts. */
export class GpuLimitError extends Error {
  override name = 'GpuLimitError';
}

/** The device ran out of memory while buffers were being created; what had been created is freed again. */
export class GpuMemoryError extends Error {
  override name = 'GpuMemoryError';
}

/** The device was lost (driver reset, GPU process crash, tab evicted). Nothing on it can be read any more. */
export class DeviceLostError extends Error {
  override name = 'DeviceLostError';
  constructor(
    readonly reason: string,
    message: string,
  ) {
    super(`The GPU device was lost (${reason}): ${message || 'the driver gave no reason'}`);
  }
}

/** WebGPU reported a validation or internal error that no error scope caught. Always a bug in this library. */
export class GpuValidationError extends Error {
  override name = 'GpuValidationError';
}
