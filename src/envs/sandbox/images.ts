/**
 * @file The interpreter's memory, whole, as it is in each sandbox: there is one interpreter, and to change the sandbox is to
 * change what its memory holds. An image is kept as the pages in which it differs from an empty sandbox.
 */

/** Bytes of the interpreter's memory, its own few among them: it cannot grow. */
export const SANDBOX_MEMORY_BYTES = 16 << 20;

const PAGE_WORDS = 1024;
const PAGE_BYTES = 4 * PAGE_WORDS;

/** Pages by their number. */
export type Image = ReadonlyMap<number, Uint32Array>;

export const EMPTY_IMAGE: Image = new Map();

export class Images {
  readonly #words: Uint32Array;
  /** The memory of an empty sandbox. */
  readonly #empty: Uint32Array;

  /** @param memory as it is in an empty sandbox, from now on in the hands of this object */
  constructor(memory: WebAssembly.Memory) {
    this.#words = new Uint32Array(memory.buffer);
    this.#empty = this.#words.slice();
  }

  /** What the memory holds now. */
  take(): Image {
    const words = this.#words;
    const empty = this.#empty;
    const image = new Map<number, Uint32Array>();
    for (let start = 0; start < words.length; start += PAGE_WORDS) {
      const end = start + PAGE_WORDS;
      let i = start;
      while (i < end && words[i] === empty[i]) i++;
      if (i < end) image.set(start / PAGE_WORDS, words.slice(start, end));
    }
    return image;
  }

  /** Whether the memory has ever been used to its end: what has been freed leaves its traces. */
  isUsedUp(): boolean {
    const { length } = this.#words;
    for (let i = length - PAGE_WORDS; i < length; i++) if (this.#words[i] !== this.#empty[i]) return true;
    return false;
  }

  /** Makes the memory hold an image. */
  put(image: Image): void {
    this.#words.set(this.#empty);
    for (const [page, words] of image) this.#words.set(words, page * PAGE_WORDS);
  }
}

/** Bytes that an image takes. */
export function imageBytes(image: Image): number {
  return image.size * PAGE_BYTES;
}
