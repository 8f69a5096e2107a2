/** @file The source of the environments, as text; loaded when it is read. */
const files = import.meta.glob<string>('../../src/envs/library/*/*.ts', {
  query: '?raw',
  import: 'default',
  eager: true,
});

/** The files of an environment's folder, the one that describes it first. */
export function sourcesOf(folder: string): { name: string; text: string }[] {
  return Object.entries(files)
    .map(([path, text]) => ({ folder: path.split('/').at(-2), name: path.split('/').at(-1)!, text }))
    .filter((file) => file.folder === folder)
    .sort((a, b) => Number(b.name === 'index.ts') - Number(a.name === 'index.ts') || a.name.localeCompare(b.name));
}
