/** @file As much of Markdown as the library's cards are written in, as plain pieces of text. */

export type Block =
  | { kind: 'heading' | 'code' | 'paragraph'; text: string }
  | { kind: 'list'; items: string[] }
  | { kind: 'table'; rows: string[][] };

type LineKind = 'blank' | 'heading' | 'indented' | 'item' | 'row' | 'text';

function kindOf(line: string, before: LineKind): LineKind {
  if (line.trim() === '') return 'blank';
  if (/^#+ /.test(line)) return 'heading';
  if (/^[-*] /.test(line)) return 'item';
  if (line.startsWith('|')) return 'row';
  // Where an item goes on its lines are indented, too.
  if (line.startsWith('    ')) return 'indented';
  return before === 'item' && line.startsWith('  ') ? 'item' : 'text';
}

/** Splits a card into blocks. */
export function readBlocks(source: string): Block[] {
  const blocks: Block[] = [];
  const lines = source.split('\n');
  let before: LineKind = 'blank';
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (line.startsWith('```')) {
      const end = lines.findIndex((other, at) => at > i && other.startsWith('```'));
      const last = end < 0 ? lines.length : end;
      blocks.push({ kind: 'code', text: lines.slice(i + 1, last).join('\n') });
      i = last;
      before = 'blank';
      continue;
    }
    const kind = kindOf(line, before);
    add(blocks, line, kind, kind === before);
    before = kind;
  }
  return blocks;
}

/** @param on whether the line goes on with the last block */
function add(blocks: Block[], line: string, kind: LineKind, on: boolean): void {
  const last = blocks.at(-1);
  if (kind === 'heading') blocks.push({ kind, text: line.replace(/^#+ /, '') });
  else if (kind === 'row') {
    if (/^\|[-:| ]+\|$/.test(line) && line.includes('-')) return;
    const cells = line
      .slice(1)
      .replace(/\|\s*$/, '')
      .split('|')
      .map((cell) => cell.trim());
    if (cells.every((cell) => cell === '')) return;
    if (on && last?.kind === 'table') last.rows.push(cells);
    else blocks.push({ kind: 'table', rows: [cells] });
  } else if (kind === 'item') {
    const begins = /^[-*] /.test(line);
    const text = line.replace(/^[-*] /, '').trim();
    if (last?.kind !== 'list' || !on) blocks.push({ kind: 'list', items: [text] });
    else if (begins) last.items.push(text);
    else last.items.push(`${last.items.pop()!} ${text}`);
  } else if (kind === 'indented') {
    if (on && last?.kind === 'code') last.text += `\n${line.slice(4)}`;
    else blocks.push({ kind: 'code', text: line.slice(4) });
  } else if (kind === 'text') {
    if (on && last?.kind === 'paragraph') last.text += ` ${line.trim()}`;
    else blocks.push({ kind: 'paragraph', text: line.trim() });
  }
}

/** Code and text of a line; of a link, what it says. */
export function readInline(line: string): { kind: 'text' | 'code'; text: string }[] {
  return line
    .split(/(`[^`]+`)/)
    .filter((piece) => piece !== '')
    .map((piece) =>
      piece.startsWith('`') && piece.length > 2
        ? { kind: 'code' as const, text: piece.slice(1, -1) }
        : { kind: 'text' as const, text: piece.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1').replaceAll('**', '') },
    );
}
