/** @file The library's panel: searching, cards, sources, and options as fields of a form. */
import { render } from 'svelte/server';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import Markdown from '../../demo/panels/Markdown.svelte';
import { CARDS } from '../../demo/panels/lazy-cards';
import { sourcesOf } from '../../demo/panels/lazy-sources';
import { findEntries, folderOf, tagCounts } from '../../demo/panels/library_search';
import { readBlocks, readInline } from '../../demo/panels/markdown';
import { optionFields, readOptions } from '../../demo/panels/option_fields';
import { LIBRARY, libraryEntry } from '../../src/envs';

const names = (search: string, tags: string[] = []) => findEntries(LIBRARY, search, tags).map(({ name }) => name);

describe('search', () => {
  it('takes every word, in whatever case, and every tag', () => {
    expect(names('')).toHaveLength(LIBRARY.length);
    expect(names('WORD secret')).toEqual(['wordle']);
    expect(names('', ['game', 'multi-turn'])).toContain('wordle-mini');
    expect(names('', ['game', 'single-turn'])).toEqual([]);
    expect(names('three letters', ['game'])).toEqual(['wordle-mini']);
  });

  it('counts tags, the commonest first', () => {
    const counts = tagCounts([
      { name: 'a', title: '', summary: '', tags: ['x', 'y'] },
      { name: 'b', title: '', summary: '', tags: ['y'] },
    ]);
    expect(counts).toEqual([
      ['y', 2],
      ['x', 1],
    ]);
  });
});

describe.each(LIBRARY.map(({ name }) => name))('%s', (name) => {
  const folder = folderOf(name, Object.keys(CARDS))!;

  it('has its card and its source', () => {
    expect(CARDS[folder]).toContain(`# ${folder}`);
    const [first] = sourcesOf(folder);
    expect(first!.name).toBe('index.ts');
    expect(first!.text).toContain(`name: '${name}'`);
  });

  it('has a field for each option; untouched ones are the defaults', () => {
    const { options, load } = libraryEntry(name);
    const fields = optionFields(options);
    expect(fields.map((field) => field.name)).toEqual(Object.keys(options.shape));
    expect(fields.every(({ kind, description }) => kind !== 'json' && description !== '')).toBe(true);
    expect(readOptions(fields, {})).toEqual({});
    expect(readOptions(fields, Object.fromEntries(fields.map((field) => [field.name, field.initial])))).toEqual({});
    // What a field shows at first is what the schema takes it for.
    const written = fields.map(({ name, kind, initial }) => [
      name,
      kind === 'whole' || kind === 'number' ? Number(initial) : initial,
    ]);
    expect(options.parse(Object.fromEntries(written))).toEqual(options.parse({}));
    expect(load().evalDataset.length).toBeGreaterThan(0);
  });
});

describe('options', () => {
  const schema = z.object({
    size: z.enum(['full', 'mini']).default('full').describe('How large'),
    share: z.number().min(0).max(1).default(0.5),
    turns: z.int().positive().default(3),
    strict: z.boolean().default(true),
    words: z.array(z.string()).default(['a']),
  });
  const fields = optionFields(schema);

  it('become fields of their kind, with their bounds', () => {
    expect(fields.map(({ kind }) => kind)).toEqual(['choice', 'number', 'whole', 'switch', 'json']);
    expect(fields[0]).toMatchObject({ choices: ['full', 'mini'], initial: 'full', description: 'How large' });
    expect(fields[1]).toMatchObject({ min: 0, max: 1, initial: '0.5' });
    expect(fields[2]).not.toHaveProperty('max');
    expect(fields[4]!.initial).toBe('["a"]');
  });

  it('are read back as values of their kind, the changed ones alone', () => {
    const values = { size: 'mini', share: '0.25', turns: '3', strict: false, words: '["b", "c"]' };
    expect(readOptions(fields, values)).toEqual({ size: 'mini', share: 0.25, strict: false, words: ['b', 'c'] });
    expect(() => readOptions(fields, { words: '[' })).toThrow(/option words: /);
    // Nothing is not 0: the schema refuses it by name.
    expect(readOptions(fields, { turns: '' })).toEqual({ turns: '' });
    expect(() => libraryEntry('reasoning').load({ difficulty: '' })).toThrow(/option difficulty/);
  });
});

describe('cards', () => {
  it('are read as blocks', () => {
    const text =
      '# A\n\none\ntwo\n\n| | |\n|---|---|\n| x | `y` |\n\n- p\n  q\n- r\n\n    code\n\n```text\nmore\n```\n';
    expect(readBlocks(text)).toEqual([
      { kind: 'heading', text: 'A' },
      { kind: 'paragraph', text: 'one two' },
      { kind: 'table', rows: [['x', '`y`']] },
      { kind: 'list', items: ['p q', 'r'] },
      { kind: 'code', text: 'code' },
      { kind: 'code', text: 'more' },
    ]);
    expect(readInline('see [this](there) and `[that](x)`')).toEqual([
      { kind: 'text', text: 'see this and ' },
      { kind: 'code', text: '[that](x)' },
    ]);
  });

  it('are text, whatever is in them', () => {
    const { body } = render(Markdown, { props: { text: '# <img src=x>\n\n<script>1</script>\n\n    <b>\n' } });
    expect(body).not.toMatch(/<(img|script|b)[ >]/);
    expect(body).toContain('&lt;script>');
  });
});
