/**
 * @file Pages in Markdown as sections, with the ids and texts of verifiers' wiki-search: each heading begins a section that
 * ends at the next one, whatever their levels; a page without headings is one section, `<page>:full`.
 */
import { pythonStrip } from '../../parsers';

export interface Section {
  section_id: string;
  section_name: string;
}

const WHOLE = 'full';

/** Lower case, spaces as underscores: what ids are made of. */
export function idOf(text: string): string {
  return pythonStrip(text).toLowerCase().replaceAll(' ', '_');
}

/** The name in a heading's line; undefined for another line. */
function headingOf(line: string): string | undefined {
  return line.startsWith('#') ? pythonStrip(line.replace(/^#+/, '')) : undefined;
}

export function sectionsOf(pageId: string, content: string): Section[] {
  const names = content.split('\n').flatMap((line) => headingOf(line) ?? []);
  if (names.length === 0) return [{ section_id: `${pageId}:${WHOLE}`, section_name: 'Full Page' }];
  return names.map((name) => ({ section_id: `${pageId}:${idOf(name)}`, section_name: name }));
}

/** The text of a section with its heading; the first of that name. Undefined where there is none. */
export function readSection(name: string, content: string): string | undefined {
  if (name === WHOLE) return content;
  const lines = content.split('\n');
  const start = lines.findIndex((line) => {
    const heading = headingOf(line);
    return heading !== undefined && idOf(heading) === name;
  });
  if (start < 0) return undefined;
  const end = lines.findIndex((line, i) => i > start && line.startsWith('#'));
  return lines.slice(start, end < 0 ? lines.length : end).join('\n');
}
