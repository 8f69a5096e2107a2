/**
 * @file A fictional encyclopedia of 500 pages, all of it a function of a seed: pages with natural sentences that refer to
 * each other, questions about them in one step or two, and a BM25 search. Loaded only when somebody opens it.
 */
import MiniSearch from 'minisearch';
import { PURPOSE, Random, deriveKey } from '../../../random';
import { isHeldOut } from '../held_out';
import { capitalized, freshName } from '../syllables';
import { KINDS } from './kinds';
import type { FactKind, KindName } from './kinds';
import { idOf } from './sections';

/** Where a step of the way to an answer is found. */
export interface Step {
  page_id: string;
  title: string;
  section_id: string;
}

export interface WikiTask {
  question: string;
  answer: string;
  info: { hops: 1 | 2; path: Step[] };
  [column: string]: unknown;
}

export interface SearchResult {
  page_id: string;
  title: string;
}

export type Split = 'train' | 'eval';

export interface Encyclopedia {
  /** Markdown by page id. */
  pages: ReadonlyMap<string, string>;
  titles: ReadonlyMap<string, string>;
  /** Questions of one step, then of two; those about a tenth of the pages, by their titles, are for evals only. */
  tasks: Readonly<Record<Split, Readonly<Record<1 | 2, readonly WikiTask[]>>>>;
  search(query: string, limit: number): SearchResult[];
}

interface Page {
  id: string;
  kind: KindName;
  title: string;
  /** As it stands in a sentence. */
  name: string;
  facts: Map<string, { kind: FactKind; text: string; page?: Page }>;
}

/** @param questions of each split, for each number of steps */
export function openEncyclopedia(seed: number, questions: Readonly<Record<Split, number>>): Encyclopedia {
  const random = new Random(deriveKey(seed, PURPOSE.environment));
  const pages = drawPages(random);
  for (const page of pages) drawFacts(page, pages, random);
  const texts = new Map(pages.map((page) => [page.id, write(page, random)]));
  const titles = new Map(pages.map(({ id, title }) => [id, title]));
  const index = new MiniSearch({ fields: ['title', 'text'], searchOptions: { boost: { title: 3 } } });
  index.addAll(pages.map(({ id, title }) => ({ id, title, text: texts.get(id) })));
  return {
    pages: texts,
    titles,
    tasks: {
      train: drawTasks(pages, 'train', questions.train, random),
      eval: drawTasks(pages, 'eval', questions.eval, random),
    },
    search: (query, limit) =>
      index
        .search(query)
        .slice(0, limit)
        .map(({ id }) => ({ page_id: id as string, title: titles.get(id as string)! })),
  };
}

function drawPages(random: Random): Page[] {
  const taken = new Set<string>();
  return Object.entries(KINDS).flatMap(([kind, { count, title: draw, article }]) =>
    Array.from({ length: count }, (): Page => {
      const title = freshName(taken, () => draw(random));
      return { id: idOf(title), kind: kind as KindName, title, name: article + title, facts: new Map() };
    }),
  );
}

function drawFacts(page: Page, pages: readonly Page[], random: Random): void {
  for (const [name, kind] of Object.entries(KINDS[page.kind].facts)) {
    if (typeof kind.value === 'function') page.facts.set(name, { kind, text: kind.value(random) });
    else {
      const { value } = kind;
      const candidates = pages.filter((other) => other.kind === value);
      // Towns are twinned in pairs, neighbours in the list.
      const target = name === 'twin' ? candidates[candidates.indexOf(page) ^ 1]! : random.pick(candidates);
      page.facts.set(name, { kind, text: target.title, page: target });
    }
  }
}

/** Markdown: an introduction, then the sections with their facts, each with a sentence that says nothing. */
function write({ kind: name, title, name: subject, facts }: Page, random: Random): string {
  const { intro, filler, again = title.split(' ').at(-1)! } = KINDS[name];
  const said = (template: string, x: string, v = '') => capitalized(template.replaceAll('{x}', x).replaceAll('{v}', v));
  const sections = new Map<string, string[]>();
  for (const { kind, text } of facts.values()) {
    const lines = sections.get(kind.section) ?? [];
    const x = lines.length === 0 ? subject : again;
    sections.set(kind.section, [...lines, said(random.pick(kind.say), x, text)]);
  }
  const fillers = random.sample(filler, sections.size);
  return [
    `# ${title}`,
    said(random.pick(intro), subject),
    ...[...sections].flatMap(([heading, lines], i) => ['', `## ${heading}`, [...lines, fillers[i]!].join(' ')]),
  ].join('\n');
}

function drawTasks(pages: readonly Page[], split: Split, count: number, random: Random): Record<1 | 2, WikiTask[]> {
  const subjects = pages.filter(({ title }) => isHeldOut(title) === (split === 'eval'));
  const one = subjects.flatMap((page) => [...page.facts.values()].map((fact) => task(fact, page.name, [page])));
  const two = subjects.flatMap((page) =>
    [...page.facts.values()].flatMap(({ kind, page: target }) =>
      target === undefined
        ? []
        : [...target.facts.values()]
            .filter(({ page: answer }) => answer !== page)
            .map((fact) => task(fact, kind.phrase!.replaceAll('{x}', page.name), [page, target], kind)),
    ),
  );
  return { 1: random.sample(one, count), 2: random.sample(two, count) };
}

/** A question about a fact, its subject given by name or by the way there. */
function task(
  { kind, text }: { kind: FactKind; text: string },
  subject: string,
  [first, second]: readonly [Page, Page?],
  link?: FactKind,
): WikiTask {
  const step = ({ id, title }: Page, { section }: FactKind): Step => ({
    page_id: id,
    title,
    section_id: `${id}:${idOf(section)}`,
  });
  const path = second && link ? [step(first, link), step(second, kind)] : [step(first, kind)];
  return {
    question: kind.ask.replaceAll('{x}', subject),
    answer: text,
    info: { hops: path.length as 1 | 2, path },
  };
}
