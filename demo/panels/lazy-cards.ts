/** @file The cards of the environments, as text; loaded when one is read. */
const files = import.meta.glob<string>('../../src/envs/library/*/README.md', {
  query: '?raw',
  import: 'default',
  eager: true,
});

/** By the name of the folder in the library. */
export const CARDS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(files).map(([path, text]) => [path.split('/').at(-2)!, text]),
);
