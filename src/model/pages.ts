/** @file Which pages of the key-value cache are free, and how many sequences share each of the others. */

export class PagePool {
  readonly #free: number[];
  readonly #owners: Uint32Array;

  constructor(readonly size: number) {
    this.#free = Array.from({ length: size }, (_, i) => size - 1 - i);
    this.#owners = new Uint32Array(size);
  }

  get available(): number {
    return this.#free.length;
  }

  /** Takes `count` free pages. */
  take(count: number): number[] {
    if (count > this.#free.length) throw new RangeError(`${count} pages wanted, ${this.#free.length} free`);
    const pages = this.#free.splice(this.#free.length - count).reverse();
    for (const page of pages) this.#owners[page] = 1;
    return pages;
  }

  /** Adds an owner to pages in use. */
  share(pages: readonly number[]): void {
    for (const page of pages) this.#owners[page]!++;
  }

  /** Pages that would be free if each of these lists dropped its ownership once: those that nobody else owns. */
  reclaimable(lists: Iterable<readonly number[]>): number {
    const dropped = new Map<number, number>();
    for (const list of lists) for (const page of list) dropped.set(page, (dropped.get(page) ?? 0) + 1);
    let count = 0;
    for (const [page, owners] of dropped) if (owners === this.#owners[page]) count++;
    return count;
  }

  /** Drops an owner; a page without owners is free again. */
  release(pages: readonly number[]): void {
    for (const page of pages) {
      this.#owners[page]!--;
      if (this.#owners[page] === 0) this.#free.push(page);
    }
  }
}
