/** @file The page's written parts stay as they are; what stands between a pair of marks is replaced. */

const OPEN = (name: string) => `<!-- bench:${name} -->`;
const CLOSE = (name: string) => `<!-- /bench:${name} -->`;

/** @throws Error naming the mark that the page lacks */
export function replaceSection(page: string, name: string, text: string): string {
  const begin = page.indexOf(OPEN(name));
  const end = page.indexOf(CLOSE(name));
  if (begin < 0 || end < begin) throw new Error(`the page has no ${OPEN(name)} ... ${CLOSE(name)}`);
  return `${page.slice(0, begin)}${OPEN(name)}\n\n${text.trim()}\n\n${page.slice(end)}`;
}
