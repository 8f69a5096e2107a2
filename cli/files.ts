/** @file Folders on disk that models are read from, and where the shipped starters lie. */
import { existsSync, readFileSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteFile, FileSource } from '../src/model';

/** A folder on disk. */
export function diskFolder(path: string): FileSource {
  return {
    name: path,
    read: (file) => {
      const full = join(path, file);
      return Promise.resolve(existsSync(full) ? new Uint8Array(readFileSync(full)) : undefined);
    },
    open: (file) => diskFile(join(path, file)),
  };
}

/** A file on disk, opened anew for every piece: nobody has to close it. Undefined where there is none. */
export async function diskFile(path: string): Promise<ByteFile | undefined> {
  if (!existsSync(path)) return undefined;
  const { size } = await stat(path);
  return {
    size,
    read: async (begin, end, into) => {
      const bytes = into?.subarray(0, end - begin) ?? new Uint8Array(end - begin);
      const file = await open(path);
      try {
        for (let done = 0; done < bytes.byteLength;) {
          const { bytesRead } = await file.read(bytes, done, bytes.byteLength - done, begin + done);
          if (bytesRead === 0) throw new RangeError(`${path} ends at byte ${begin + done}, before byte ${end}`);
          done += bytesRead;
        }
      } finally {
        await file.close();
      }
      return bytes;
    },
  };
}

/** The repository's folder: npm scripts run there. */
const ROOT = process.env.TERRARIUM_ROOT ?? process.cwd();

/** Where the starter of an environment lies. */
export function starterPath(env: string): string {
  return join(ROOT, 'starters', env);
}

/** The shipped starter of an environment, if there is one. */
export function starterFolder(env: string): FileSource | undefined {
  const path = starterPath(env);
  return existsSync(join(path, 'config.json')) ? diskFolder(path) : undefined;
}
