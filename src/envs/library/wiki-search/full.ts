/**
 * @file wiki-search for pretrained models: answer questions about a fictional encyclopedia with three tools. The tools and
 * their results are those of verifiers' wiki-search; the pages are ours, and answers are compared, not judged.
 */
import { z } from 'zod';
import { generated } from '../../dataset';
import type { TaskRow } from '../../dataset';
import { MaybeThinkParser } from '../../parsers';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';
import { ToolEnv } from '../../tool_env';
import { tool } from '../../tools';
import type { Message } from '../../types';
import type { Encyclopedia, WikiTask } from './lazy-encyclopedia';
import { readSection, sectionsOf } from './sections';

const SYSTEM_PROMPT =
  'Answer the question with the help of the encyclopedia: search for pages, view their sections, and read the one that ' +
  'says it. Then reply with the answer alone: a name, a word or a number, no sentence.';

const RESULTS = 10;
const LONGEST_QUERY = 500;
/** Questions of one step in each split, and as many of two. */
const QUESTIONS = { train: 1000, eval: 100 };

export interface FullOptions {
  seed: number;
  hops: 'one' | 'two' | 'both';
}

/** 1 when the answer is right but for capitals, punctuation and articles. */
function exactMatch({ response, answer }: RewardArgs): number {
  return normalizeAnswer(response) === normalizeAnswer(answer) ? 1 : 0;
}

/** 1 when the reply holds the answer, whatever stands around it. */
function answerMentioned({ response, answer }: RewardArgs): number {
  return ` ${normalizeAnswer(response)} `.includes(` ${normalizeAnswer(answer)} `) ? 1 : 0;
}

/** Lower case, without punctuation and articles, with single spaces. */
export function normalizeAnswer(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s]/gu, '')
    .split(/\s+/)
    .filter((word) => !['', 'a', 'an', 'the'].includes(word))
    .join(' ');
}

export function loadFull({ seed, hops }: FullOptions): ToolEnv {
  const open = opener(seed);
  const rows = (split: 'train' | 'eval') => {
    const steps: readonly (1 | 2)[] = hops === 'one' ? [1] : hops === 'two' ? [2] : [1, 2];
    return generated(
      async (index) => (await open()).tasks[split][steps[index % steps.length]!][Math.floor(index / steps.length)]!,
      steps.length * QUESTIONS[split],
    );
  };
  return new ToolEnv({
    name: 'wiki-search',
    dataset: rows('train'),
    evalDataset: rows('eval'),
    systemPrompt: SYSTEM_PROMPT,
    tools: wikiTools(open),
    rubric: new Rubric(
      { exactMatch, answerMentioned },
      { weights: { answerMentioned: 0 }, parser: new MaybeThinkParser() },
    ),
    sampling: { maxTokens: 512 },
    maxTurns: 10,
    demonstrate: async (row, random, { careless }) => demonstration(await open(), row, random.next() < careless),
  });
}

/** Opens the encyclopedia on first use, and once. */
function opener(seed: number): () => Promise<Encyclopedia> {
  let opened: Promise<Encyclopedia> | undefined;
  return () => {
    opened ??= import('./lazy-encyclopedia').then(({ openEncyclopedia }) => openEncyclopedia(seed, QUESTIONS));
    opened.catch(() => (opened = undefined)); // it may load another time
    return opened;
  };
}

/** The tools of an encyclopedia that is opened on first use. */
export function wikiTools(open: () => Promise<Pick<Encyclopedia, 'pages' | 'search'>>) {
  const page = async (id: string) => {
    const text = (await open()).pages.get(id);
    if (text === undefined) throw new Error(`there is no page ${JSON.stringify(id)}; search_pages gives page ids`);
    return text;
  };
  return [
    tool({
      name: 'search_pages',
      description: 'Finds up to ten pages for some words, best first: a list of page_id and title.',
      parameters: z.object({ query: z.string().max(LONGEST_QUERY).describe('Words to search for') }),
      run: async ({ query }) => (await open()).search(query, RESULTS),
    }),
    tool({
      name: 'view_sections',
      description: 'Lists the sections of a page: section_id and section_name.',
      parameters: z.object({ page_id: z.string().describe('Of a page, as search_pages gives it') }),
      run: async ({ page_id: id }) => sectionsOf(id, await page(id)),
    }),
    tool({
      name: 'read_section',
      description: 'Reads a section of a page.',
      parameters: z.object({ section_id: z.string().describe('Of a section, as view_sections gives it') }),
      run: async ({ section_id: id }) => {
        const colon = id.indexOf(':');
        if (colon < 0) throw new Error(`${JSON.stringify(id)} is not of the form page_id:section`);
        const text = readSection(id.slice(colon + 1), await page(id.slice(0, colon)));
        if (text === undefined) throw new Error(`there is no section ${JSON.stringify(id)}; view_sections lists them`);
        return text;
      },
    }),
  ];
}

/** Searches, views and reads step by step; a careless demonstrator answers after the first page, with its title. */
function demonstration(wiki: Encyclopedia, row: TaskRow, bad: boolean): Message[] {
  const { path } = (row as WikiTask).info;
  const messages: Message[] = [];
  const call = (name: string, args: object, result: unknown) => {
    const id = `call_${messages.length / 2}`;
    messages.push(
      { role: 'assistant', content: '', toolCalls: [{ id, name, arguments: JSON.stringify(args) }] },
      { role: 'tool', content: typeof result === 'string' ? result : JSON.stringify(result), toolCallId: id },
    );
  };
  for (const { page_id: id, title, section_id: section } of path) {
    const text = wiki.pages.get(id)!;
    call('search_pages', { query: title }, wiki.search(title, RESULTS));
    call('view_sections', { page_id: id }, sectionsOf(id, text));
    call('read_section', { section_id: section }, readSection(section.slice(id.length + 1), text)!);
    if (bad) break;
  }
  return [...messages, { role: 'assistant', content: bad ? path[0]!.title : row.answer! }];
}
