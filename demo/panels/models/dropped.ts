/** @file What was dropped on the page or chosen in a dialog: a folder's files, or one .zip. Nothing is read yet. */

export interface Chosen {
  /** Null for a .zip. */
  folder: string | null;
  files: File[];
}

/**
 * Files of `<input webkitdirectory>` or of an input for a .zip.
 * @throws Error saying what to choose
 */
export function chosenFiles(list: Iterable<File>): Chosen {
  const files = [...list];
  const [first] = files;
  if (!first) throw new Error('there are no files in what was chosen');
  const path = first.webkitRelativePath.split('/');
  if (path.length < 2) return single(files);
  // A model's files lie at the top of its folder.
  return { folder: path[0]!, files: files.filter((file) => file.webkitRelativePath.split('/').length === 2) };
}

/**
 * What was dropped: a folder, or a .zip.
 * @throws Error saying what to drop
 */
export async function droppedFiles(transfer: DataTransfer): Promise<Chosen> {
  // All entries at once: the list is empty after the first wait.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  const files = [...transfer.files];
  const [entry] = entries;
  if (entries.length !== 1 || !entry?.isDirectory) return single(files);
  return { folder: entry.name, files: await filesIn(entry as FileSystemDirectoryEntry) };
}

function single(files: File[]): Chosen {
  if (files.length === 1 && /\.zip$/i.test(files[0]!.name)) return { folder: null, files };
  throw new Error(
    'a model is one folder with config.json, tokenizer.json and model.safetensors in it, or one .zip of it',
  );
}

async function filesIn(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    // A reader hands out a folder in parts, and at last an empty one.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) break;
    found.push(...part);
  }
  const files = found.filter(({ isFile }) => isFile) as FileSystemFileEntry[];
  return Promise.all(files.map((entry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject))));
}
