/** @file Every kind of puzzle is read from its text and solved again by other means: the answer is right and the only one. */
import { describe, expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import { PUZZLES } from '../../../src/envs/library/reasoning/lazy-puzzles';
import { KINDS } from '../../../src/envs/library/reasoning/puzzle';
import type { Difficulty, Puzzle, PuzzleKind } from '../../../src/envs/library/reasoning/puzzle';
import { Random, deriveKey } from '../../../src/random';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT } from './players';

const DIFFICULTIES = [1, 2, 3, 4, 5] as const;
const EACH = 60;

function draw(kind: PuzzleKind, difficulty: Difficulty, count = EACH): Puzzle[] {
  const random = new Random(deriveKey(7, KINDS.indexOf(kind), difficulty));
  return Array.from({ length: count }, () => PUZZLES[kind](random, difficulty));
}

/** All orders of a list. */
function orders<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((item, i) => orders(list.filter((_, j) => j !== i)).map((rest) => [item, ...rest]));
}

const SOLVERS: Record<PuzzleKind, (question: string) => string[]> = {
  'chain-sum': (question) => {
    const terms = question.match(/(?:[+-] )?\d+/g)!;
    return [String(terms.reduce((sum, term) => sum + Number(term.replace(' ', '')), 0))];
  },

  // What each rule that fits all six numbers says of the seventh.
  'number-sequence': (question) => {
    const n = question.match(/-?\d+/g)!.map(Number);
    const steps = n.slice(1).map((value, i) => value - n[i]!);
    const seconds = steps.slice(1).map((value, i) => value - steps[i]!);
    const same = (list: number[]) => list.every((value) => value === list[0]);
    const answers: number[] = [];
    if (same(steps)) answers.push(n[5]! + steps[0]!);
    if (same(seconds)) answers.push(n[5]! + steps[4]! + seconds[0]!);
    if (same([steps[0]!, steps[2]!, steps[4]!]) && steps[1] === steps[3]) answers.push(n[5]! + steps[1]!);
    for (const factor of [2, 3]) {
      const more = n[1]! - factor * n[0]!;
      if (n.slice(1).every((value, i) => value === factor * n[i]! + more)) answers.push(factor * n[5]! + more);
    }
    if (n.slice(2).every((value, i) => value === n[i]! + n[i + 1]!)) answers.push(n[4]! + n[5]!);
    return [...new Set(answers.map(String))];
  },

  ordering: (question) => {
    const clues = [...question.matchAll(/(\w+) is (older|younger) than (\w+)\./g)].map(([, a, how, b]) =>
      how === 'older' ? [a!, b!] : [b!, a!],
    );
    const place = ['oldest', 'second oldest', 'third oldest', 'fourth oldest', 'fifth oldest', 'sixth oldest'];
    const asked = place.indexOf(/Who is the (.*)\?/.exec(question)![1]!);
    return orders([...new Set(clues.flat())])
      .filter((order) => clues.every(([older, younger]) => order.indexOf(older!) < order.indexOf(younger!)))
      .map((order) => order[asked]!);
  },

  knights: (question) => {
    const people = /^Of (.*) each/.exec(question)![1]!.split(/, | and /);
    const claims = [...question.matchAll(/(\w+) says: "(.*?)"/g)].map(([, who, what]) => [who!, what!] as const);
    const fits = (liars: string[]) =>
      claims.every(([who, what]) => {
        const lies = (name: string) => liars.includes(name === 'I' ? who : name);
        const [, x, y] = /^(\w+)(?: (?:and|or) (\w+))?/.exec(what)!;
        const holds = what.endsWith('of the same kind.')
          ? lies(x!) === lies(y!)
          : what.endsWith('both lie.')
            ? lies(x!) && lies(y!)
            : what.endsWith('or both do.')
              ? lies(x!) || lies(y!)
              : what.endsWith('tells the truth.')
                ? !lies(x!)
                : lies(x!);
        return holds === !lies(who);
      });
    return Array.from({ length: 2 ** people.length }, (_, bits) => people.filter((__, i) => (bits >> i) & 1))
      .filter(fits)
      .map((liars) => liars.join(', ') || 'nobody');
  },

  roads: (question) => {
    const built = [...question.matchAll(/(\w+) to (\w+)(?=[,.])/g)].map(([, from, to]) => [from!, to!] as const);
    const [, start, goal] = /get from (\w+) to (\w+)\?/.exec(question)!;
    const towns = [...new Set([...built.flat(), start!, goal!])];
    const far = new Map<string, number>(built.map(([from, to]) => [`${from} ${to}`, 1]));
    const between = (a: string, b: string) => (a === b ? 0 : (far.get(`${a} ${b}`) ?? Infinity));
    for (const via of towns)
      for (const a of towns)
        for (const b of towns) far.set(`${a} ${b}`, Math.min(between(a, b), between(a, via) + between(via, b)));
    const steps = between(start!, goal!);
    return [steps === Infinity ? 'none' : String(steps)];
  },
};

describe.each(KINDS)('%s', (kind) => {
  it.each(DIFFICULTIES)('has one answer, and it is the right one (difficulty %d)', (difficulty) => {
    for (const { question, answer, wrong } of draw(kind, difficulty)) {
      expect([question, ...SOLVERS[kind](question)]).toEqual([question, answer]);
      expect(wrong).not.toBe(answer);
    }
  });

  it('asks for more as it gets harder', () => {
    const size = (difficulty: Difficulty) =>
      draw(kind, difficulty).reduce((sum, { question }) => sum + question.length, 0) / EACH;
    expect(size(5)).toBeGreaterThan(size(1));
  });

  it('seldom asks the same, and answers differ', () => {
    const puzzles = draw(kind, 3);
    expect(new Set(puzzles.map(({ question }) => question)).size).toBeGreaterThan(0.9 * EACH);
    expect(new Set(puzzles.map(({ answer }) => answer)).size).toBeGreaterThan(3);
  });
});

describe('reasoning', () => {
  it('has all kinds, or the one that is asked for', async () => {
    const kinds = async (kind?: string) => {
      const env = libraryEntry('reasoning').load({ ...(kind && { kind }) });
      const rows = await Promise.all(Array.from({ length: 60 }, (_, i) => env.example(i)));
      return [...new Set(rows.map(({ info }) => info!.kind))].sort();
    };
    expect(await kinds()).toEqual([...KINDS].sort());
    expect(await kinds('roads')).toEqual(['roads']);
  });

  it.each([
    ['<answer>Ada, Ben</answer>', 1],
    ['<think>hm</think>\n<answer> ada,  ben. </answer>', 1],
    ['<answer>Ben, Ada</answer>', 0],
    ['Ada, Ben', 0],
    ['<answer></answer>', 0],
  ])('scores %j with %d', async (reply, reward) => {
    const env = libraryEntry('reasoning').load();
    const example = { exampleId: 0, question: 'Who?', answer: 'Ada, Ben' };
    expect((await env.rollout(example, new ScriptedModel(() => reply), ROLLOUT)).reward).toBe(reward);
  });
});
