import { describe, expect, it } from 'vitest';
import { WIKI_VOCABULARY, libraryEntry } from '../../../src/envs';
import type { Message, ToolEnv } from '../../../src/envs';
import { normalizeAnswer } from '../../../src/envs/library/wiki-search/full';
import { openEncyclopedia } from '../../../src/envs/library/wiki-search/lazy-encyclopedia';
import { MiniWorld, TITLES } from '../../../src/envs/library/wiki-search/mini_world';
import { readSection, sectionsOf } from '../../../src/envs/library/wiki-search/sections';
import { TinyTokenizer } from '../../../src/model';
import { Fuzzer, ROLLOUT, demonstrationOf, replay } from './players';

const say = (content: string): Message => ({ role: 'assistant', content });
let calls = 0;
const call = (name: string, args: object): Message => ({
  role: 'assistant',
  content: '',
  toolCalls: [{ id: `call_${calls++}`, name, arguments: JSON.stringify(args) }],
});

describe('wiki-search-mini', () => {
  const env = libraryEntry('wiki-search-mini').load() as ToolEnv;
  const play = async (index: number, replies: Message[]) =>
    env.rollout(await env.example(index, 'eval'), replay(replies), ROLLOUT);
  const tools = ({ completion }: { completion: Message[] }) =>
    completion.filter(({ role }) => role === 'tool').map(({ content }) => content);

  it('knows 300 names in training and 100 others in evals, whatever the seed', async () => {
    expect([TITLES.train.length, TITLES.eval.length]).toEqual([300, 100]);
    expect(new Set([...TITLES.train, ...TITLES.eval]).size).toBe(400);
    for (const seed of [0, 1]) {
      const seeded = libraryEntry('wiki-search-mini').load({ seed });
      for (const split of ['train', 'eval'] as const) {
        for (let i = 0; i < 200; i++) expect(TITLES[split]).toContain((await seeded.example(i, split)).info!.title);
      }
    }
  });

  it('draws new facts for every task, the same for each of its rollouts', async () => {
    const [a, b] = [MiniWorld.of(0, 'train', 4), MiniWorld.of(0, 'train', 5)];
    const title = TITLES.train[7]!;
    expect(a.facts(title)).toEqual(MiniWorld.of(0, 'train', 4).facts(title));
    expect(a.facts(title)).not.toEqual(b.facts(title));
    expect(new Set(a.facts(title).map(({ attribute }) => attribute)).size).toBe(4);
    const [one, two] = [await play(3, await demonstrationOf(env, 3)), await play(3, await demonstrationOf(env, 3))];
    expect(one.completion).toEqual(two.completion);
  });

  it('finds the title among two others that share no syllable with it, in an order of the turn', () => {
    const world = MiniWorld.of(0, 'eval', 0);
    const places = new Set<number>();
    for (const title of world.titles) {
      for (const turn of [1, 2, 3]) {
        const found = world.search(title, turn);
        places.add(found.indexOf(title));
        expect([found.length, new Set(found).size]).toEqual([3, 3]);
        for (const other of found) {
          expect(world.titles).toContain(other);
          if (other !== title) expect(other.slice(0, 3)).not.toBe(title.slice(0, 3));
        }
      }
    }
    expect([...places].sort()).toEqual([0, 1, 2]);
    expect(world.search(TITLES.train[0]!, 1)).toEqual([]);
  });

  it('reads only titles of the last search', async () => {
    const { title } = (await env.example(0, 'eval')).info as { title: string };
    const early = await play(0, [call('read', { name: title }), say('x')]);
    expect(tools(early)).toEqual([' error']);
    expect([early.metrics.badCalls, early.metrics.pagesRead]).toEqual([1, 0]);
    const other = TITLES.eval.find((name) => name !== title)!;
    const later = await play(0, [
      call('search', { name: title }),
      call('search', { name: other }),
      call('read', { name: title }),
      say('x'),
    ]);
    expect(tools(later)[2]).toBe(' error');
  });

  it('says none of an unknown title and error of everything else', async () => {
    const trace = await play(0, [
      call('search', { name: 'Xyz' }),
      call('search', {}),
      call('open', { name: 'a' }),
      say(''),
    ]);
    expect(tools(trace)).toEqual([' none', ' error', ' error']);
    expect([trace.reward, trace.metrics.badCalls]).toEqual([0, 2]);
  });

  it('counts what was read', async () => {
    const trace = await play(1, await demonstrationOf(libraryEntry('wiki-search-mini').load({ drills: 0 }), 1));
    expect(trace.metrics).toMatchObject({ rightPages: 1, pagesRead: 1, badCalls: 0, search_calls: 1, read_calls: 1 });
    expect([trace.reward, trace.stopCondition, trace.metrics.num_turns]).toEqual([1, 'no_tools_called', 3]);
  });

  it('ends after four turns, whatever is called', async () => {
    const again = call('search', { name: TITLES.eval[0]! });
    const trace = await play(0, [again, again, again, again]);
    expect([trace.reward, trace.stopCondition, tools(trace).length]).toEqual([0, 'max_turns_reached', 3]);
  });

  it('wants the answer to the letter', async () => {
    const { answer } = await env.example(0, 'eval');
    const rewards = [];
    for (const text of [answer!, answer!.trim(), `${answer!} `, answer!.toUpperCase()]) {
      rewards.push((await play(0, [say(text)])).reward);
    }
    expect(rewards).toEqual([1, 0, 0, 0]);
  });

  it('answers nothing that its vocabulary cannot spell', async () => {
    const tokenizer = new TinyTokenizer(WIKI_VOCABULARY);
    const fuzzer = new Fuzzer(9, env);
    for (let index = 0; index < 200; index++) {
      const trace = await env.rollout(await env.example(index, 'eval'), fuzzer.model(), ROLLOUT);
      for (const text of [trace.prompt[0]!.content, trace.answer, ...tools(trace)]) {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }
    }
  });

  it('has the habits of the recipe', async () => {
    const shapes: Record<string, string[]> = {};
    for (const habit of ['guess', 'skipread', 'wrongid', 'wrongattr', 'mixed']) {
      const careless = libraryEntry('wiki-search-mini').load({ habit });
      const found = new Set<string>();
      for (let i = 0; i < 60; i++) {
        const replies = await demonstrationOf(careless, i, { careless: 1 });
        found.add(replies.flatMap(({ toolCalls = [] }) => toolCalls.map(({ name }) => name)).join(' '));
        for (const { role } of replies) expect(role).not.toBe('user');
      }
      shapes[habit] = [...found].sort();
    }
    expect(shapes).toEqual({
      guess: [''],
      skipread: ['search'],
      wrongid: ['search read'],
      wrongattr: ['search read'],
      mixed: ['', 'search', 'search read'],
    });
  });

  it('drills reading, as often as asked and never carelessly', async () => {
    const share = async (drills: number, careless: number) => {
      const drilled = libraryEntry('wiki-search-mini').load({ drills });
      let count = 0;
      for (let i = 0; i < 200; i++) {
        const [first, ...rest] = await demonstrationOf(drilled, i, { careless, split: 'train' });
        if (first!.role !== 'tool') continue;
        count++;
        // A page with six facts; every answer stands on it.
        expect(first!.content.match(/;/g)).toHaveLength(6);
        for (const { role, content } of rest) if (role === 'assistant') expect(first!.content).toContain(`${content};`);
      }
      return count / 200;
    };
    expect(await share(0, 0)).toBe(0);
    expect(await share(1, 0)).toBe(1);
    expect(await share(1, 0.5)).toBe(0);
    const some = await share(0.6, 0);
    expect(some).toBeGreaterThan(0.5);
    expect(some).toBeLessThan(0.7);
  });
});

describe('wiki-search', () => {
  const wiki = openEncyclopedia(0, { train: 1000, eval: 100 });
  const all = (split: 'train' | 'eval') => [...wiki.tasks[split][1], ...wiki.tasks[split][2]];

  it('has 500 pages of sections, the same for the same seed', () => {
    expect([wiki.pages.size, new Set(wiki.titles.values()).size]).toEqual([500, 500]);
    const again = openEncyclopedia(0, { train: 1000, eval: 100 });
    expect([...again.pages]).toEqual([...wiki.pages]);
    expect(again.tasks).toEqual(wiki.tasks);
    for (const [id, text] of wiki.pages) {
      const sections = sectionsOf(id, text);
      expect(sections.length).toBeGreaterThanOrEqual(3);
      expect(new Set(sections.map(({ section_id: section }) => section)).size).toBe(sections.length);
      expect(text).not.toMatch(/[{}]|undefined/);
    }
  });

  it('asks each question once, and no eval question in training', () => {
    const [train, held] = [all('train'), all('eval')].map((tasks) => tasks.map(({ question }) => question));
    expect([train!.length, held!.length]).toEqual([2000, 200]);
    expect(new Set([...train!, ...held!]).size).toBe(2200);
  });

  it('says every answer in the last section of the way there, and every link before it', () => {
    for (const { answer, info } of [...all('train'), ...all('eval')]) {
      const read = info.path.map(({ page_id: id, section_id: section }) =>
        readSection(section.slice(id.length + 1), wiki.pages.get(id)!),
      );
      expect(read.at(-1)).toContain(answer);
      if (info.hops === 2) expect(read[0]).toContain(info.path[1]!.title);
    }
  });

  it('finds every page first by its title, and the page of a question by its words', () => {
    for (const [id, title] of wiki.titles) expect(wiki.search(title, 1)[0]!.page_id).toBe(id);
    const found = wiki.tasks.eval[1].filter(({ question, info }) =>
      wiki.search(question, 10).some(({ page_id: id }) => id === info.path[0]!.page_id),
    );
    expect(found.length).toBeGreaterThan(95);
  });

  it('tells the model what is wrong with a call', async () => {
    const env = libraryEntry('wiki-search').load();
    const replies = [
      call('view_sections', { page_id: 'atlantis' }),
      call('read_section', { section_id: 'atlantis' }),
      call('search_pages', { query: 'zzzz' }),
      call('search_pages', { query: 'x'.repeat(501) }),
      say('x'),
    ];
    const { completion, error } = await env.rollout(await env.example(0), replay(replies), ROLLOUT);
    expect(completion.filter(({ role }) => role === 'tool').map(({ content }) => content)).toEqual([
      'there is no page "atlantis"; search_pages gives page ids',
      '"atlantis" is not of the form page_id:section',
      '[]',
      'query: Too big: expected string to have <=500 characters',
    ]);
    expect(error).toBeNull();
  });

  it('asks for one step, two, or both in turns', async () => {
    const hops = async (option: string) => {
      const env = libraryEntry('wiki-search').load({ hops: option });
      const asked = await Promise.all([0, 1, 2, 3].map(async (i) => (await env.example(i, 'eval')).info!.hops));
      return [env.dataset.length, env.evalDataset.length, ...asked];
    };
    expect(await hops('both')).toEqual([2000, 200, 1, 2, 1, 2]);
    expect(await hops('one')).toEqual([1000, 100, 1, 1, 1, 1]);
    expect(await hops('two')).toEqual([1000, 100, 2, 2, 2, 2]);
  });

  it('forgives capitals, articles and punctuation in answers, nothing else', async () => {
    expect(normalizeAnswer('The  River Orna.')).toBe('river orna');
    expect(normalizeAnswer('1,638')).toBe('1638');
    const env = libraryEntry('wiki-search').load();
    const example = { ...(await env.example(0)), answer: 'River Orna' };
    const score = async (text: string) => {
      const { reward, metrics } = await env.rollout(example, replay([say(text)]), ROLLOUT);
      return [reward, metrics.answerMentioned];
    };
    expect(await score('<think>River Ora?</think>the river Orna!')).toEqual([1, 1]);
    expect(await score('It is the River Orna.')).toEqual([0, 1]);
    expect(await score('River Ornament')).toEqual([0, 0]);
  });
});
