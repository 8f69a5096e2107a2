/**
 * @file The way of many bytes into buffers that exist. `queue.writeBuffer` copies what it is given into memory of its own,
 * which implementations keep until they get round to freeing it: ten pieces deep on Dawn. This takes one buffer of fixed
 * size, fills it while it is mapped, and waits for the GPU before it is filled again.
 */
import type { Gpu } from './gpu';

const MAP_WRITE = 0x1 << 1;
const COPY_SRC = 0x4;
/** GPUMapMode.WRITE */
const MODE_WRITE = 0x2;

interface Copy {
  buffer: GPUBuffer;
  offset: number;
  from: number;
  bytes: number;
}

export class Upload {
  readonly #staging: GPUBuffer;
  #mapped: Uint8Array<ArrayBuffer> | undefined;
  #used = 0;
  #copies: Copy[] = [];

  /** @param size bytes on their way at once */
  constructor(
    readonly gpu: Gpu,
    private readonly size: number,
  ) {
    this.#staging = gpu.createBuffer('upload', size, MAP_WRITE | COPY_SRC);
  }

  /**
   * Takes bytes over: their memory may be used again when this resolves. They are in the buffer after `flush`.
   * @param offset a multiple of 4, as is the number of bytes
   */
  async write(buffer: GPUBuffer, offset: number, data: Uint8Array): Promise<void> {
    for (let done = 0; done < data.byteLength;) {
      if (this.#used === this.size) this.flush();
      const mapped = await this.#map();
      const bytes = Math.min(this.size - this.#used, data.byteLength - done);
      mapped.set(data.subarray(done, done + bytes), this.#used);
      this.#copies.push({ buffer, offset: offset + done, from: this.#used, bytes });
      this.#used += bytes;
      done += bytes;
    }
  }

  /** Sends what was taken over; what is submitted after this sees it. */
  flush(): void {
    if (this.#copies.length === 0) return;
    const { device, stats } = this.gpu;
    this.#staging.unmap();
    this.#mapped = undefined;
    const encoder = device.createCommandEncoder({ label: 'upload' });
    for (const { buffer, offset, from, bytes } of this.#copies) {
      encoder.copyBufferToBuffer(this.#staging, from, buffer, offset, bytes);
    }
    device.queue.submit([encoder.finish()]);
    stats.submits++;
    stats.bytesWritten += this.#used;
    this.gpu.submitted();
    this.#copies = [];
    this.#used = 0;
  }

  /** Waits until the GPU has copied what was sent before. */
  async #map(): Promise<Uint8Array<ArrayBuffer>> {
    if (!this.#mapped) {
      this.gpu.check();
      await this.gpu.race(this.#staging.mapAsync(MODE_WRITE));
      this.#mapped = new Uint8Array(this.#staging.getMappedRange());
    }
    return this.#mapped;
  }

  destroy(): void {
    this.gpu.destroyBuffer(this.#staging);
  }
}
