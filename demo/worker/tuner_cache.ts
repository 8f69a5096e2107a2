/** @file Where the page keeps which kernels are fastest here: beside runs and models, a file per adapter. */
import type { TunerCache } from '../../src/kernels';
import type { Shelf } from '../../src/model';

/** The one folder on that shelf. */
const FOLDER = 'choices';

/** Files of the cache, whatever characters an adapter's name has. */
const fileOf = (name: string) => `${name.replaceAll(/[^\w.]+/g, '-')}.json`;

/** Choices on a shelf. What goes wrong with it is the tuner's to tell; it goes on without. */
export function shelfCache(shelf: Promise<Shelf>): TunerCache {
  return {
    read: async (name) => {
      const bytes = await (await shelf).at(FOLDER).read(fileOf(name));
      return bytes && new TextDecoder().decode(bytes);
    },
    write: async (name, text) => {
      const here = await shelf;
      await here.at(FOLDER).write(fileOf(name), new TextEncoder().encode(text));
      // For the page's own devices they are there; for the next visit they are not.
      if (!here.lasts) throw new Error('this browser keeps nothing for this page');
    },
  };
}
