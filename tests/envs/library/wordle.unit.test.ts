import { describe, expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import { MOST_GUESSES, WordleGame, marksOf } from '../../../src/envs/library/wordle/game';
import { MINI_VOCABULARY, MINI_WORDS } from '../../../src/envs/library/wordle/mini';
import { SECRETS, WORDS, isWord } from '../../../src/envs/library/wordle/words';
import { Random, deriveKey } from '../../../src/random';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT } from './players';

const env = libraryEntry('wordle').load();
const inTags = (guess: string) => `<guess>${guess}</guess>`;

/** Plays a game with given replies; what comes after them is the last one again. */
async function play(answer: string, ...replies: string[]) {
  let turn = 0;
  const model = new ScriptedModel(() => replies[Math.min(turn++, replies.length - 1)]!);
  const trace = await env.rollout({ exampleId: 0, question: 'Guess.', answer }, model, ROLLOUT);
  const { reward, stopCondition, metrics, turns } = trace;
  const said = trace.completion.filter(({ role }) => role === 'user').map(({ content }) => content);
  return { reward, stopCondition, metrics, turns: turns.length, said, error: trace.error };
}

describe('marks', () => {
  it.each([
    ['crane', 'crane', 'GGGGG'],
    ['slate', 'crane', 'XXGXG'],
    ['geese', 'eagle', 'YYXXG'],
    ['eerie', 'geese', 'YGXXG'],
    ['llama', 'label', 'GYYXX'],
    ['label', 'llama', 'GYXXY'],
    ['mamma', 'maxim', 'GGYXX'],
    ['zesty', 'cloud', 'XXXXX'],
  ])('%s for %s: %s', (guess, secret, marks) => {
    expect(marksOf(guess, secret)).toBe(marks);
  });

  it('explain every letter of the secret once, those in place first, then from the left', () => {
    const random = new Random(deriveKey(3));
    for (let i = 0; i < 2000; i++) {
      // Few letters make many repetitions.
      const word = () => Array.from({ length: 5 }, () => random.pick([...'abc'])).join('');
      const [guess, secret] = [word(), word()];
      const marks = marksOf(guess, secret);
      for (const letter of 'abc') {
        const placesIn = (text: string) => [0, 1, 2, 3, 4].filter((k) => text[k] === letter);
        const [guessed, hidden] = [placesIn(guess), placesIn(secret)];
        const [inPlace, others] = [true, false].map((same) => guessed.filter((k) => hidden.includes(k) === same));
        for (const k of inPlace!) expect(marks[k]).toBe('G');
        others!.forEach((k, n) => expect(marks[k]).toBe(n < hidden.length - inPlace!.length ? 'Y' : 'X'));
      }
    }
  });
});

describe('the game', () => {
  it.each(['crane', '[crane]', 'CRANE', '[Crane]', 'is it [crane] or [slate]'])('takes %s', (guess) => {
    expect(new WordleGame('crane', isWord).submit(guess)).toEqual({
      text: 'Congratulations! You guessed the word correctly!',
      over: true,
    });
  });

  it.each([
    ['no guess', null, 'exactly 5 letters'],
    ['[cranes]', '[cranes]', 'exactly 5 letters'],
    ['100 kB of letters', 'x'.repeat(100_000), 'exactly 5 letters'],
    ['[zzzzz]', '[zzzzz]', "'zzzzz' is not an English word"],
    ['a combining accent', '[c\u0301rane]', 'one word'],
    ['[cr ne]', '[cr ne]', 'one word'],
    ['I say crane', 'I say crane', 'one word'],
    ['nothing', '', 'one word'],
    ['100 kB of brackets', '['.repeat(100_000), 'one word'],
  ])('refuses %s once, and the second time it is lost', (_, guess, reason) => {
    const game = new WordleGame('crane', isWord);
    const [first, second] = [game.submit(guess), game.submit(guess)];
    expect([first.over, second.over]).toEqual([false, true]);
    expect(first.text).toMatch(/^You attempted an invalid move\. Reason: /);
    expect(second.text).toMatch(/^Invalid Move: /);
    for (const { text } of [first, second]) expect(text).toContain(reason);
    expect(first.text.length).toBeLessThan(300);
  });

  it('forgives an invalid move after a valid one, and does not count it', () => {
    const game = new WordleGame('crane', isWord);
    for (const [i, word] of ['slate', 'apple', 'mango', 'grape', 'lemon'].entries()) {
      expect(game.submit('slate').over).toBe(false); // after the first time it is invalid
      if (i > 0) expect(game.submit(word).text).toContain(`\nYou have ${5 - i} guesses left.`);
    }
    expect(game.submit('nope').over).toBe(false);
    expect(game.submit('brace')).toEqual({
      text: "The turn limit has been reached. You didn't guess the word, but your best guess matched 70% of the letters in the correct positions.\nThe secret word was: **crane**.",
      over: true,
    });
  });

  it('has a secret of five small letters, on its list or not', () => {
    expect(isWord('qwxyz')).toBe(false);
    expect(new WordleGame('qwxyz', isWord).submit('[qwxyz]').over).toBe(true);
    for (const secret of ['', 'cranes', 'CRANE', 'cr ne'])
      expect(() => new WordleGame(secret, isWord)).toThrow(RangeError);
  });
});

describe('wordle', () => {
  it('is worth most when it is guessed at once', async () => {
    for (let i = 0; i < env.evalDataset.length; i++) {
      const { answer } = await env.example(i, 'eval');
      const { reward, stopCondition } = await play(answer!, inTags(`[${answer!}]`));
      expect(reward).toBeCloseTo(2.2, 12);
      expect(stopCondition).toBe('has_final_env_response');
    }
  });

  it('is worth less with every guess, and the less of a game that is lost the fewer marks it got', async () => {
    const won = await play('crane', inTags('[slate]'), inTags('[crane]'));
    expect([won.reward, won.metrics.length_bonus, won.turns]).toEqual([1.7, 0.5, 2]);
    const six = ['slate', 'apple', 'mango', 'grape', 'lemon', 'brace'].map((word) => inTags(`[${word}]`));
    const lost = await play('crane', ...six);
    expect(lost.metrics).toMatchObject({ correct_answer: 0, partial_answer: 0.2, length_bonus: 0, num_turns: 6 });
    expect(lost.reward).toBeLessThan(env.passThreshold);
    const silent = await play('crane', 'I do not know');
    expect(silent.reward).toBeCloseTo(0.04, 12);
    expect(silent.turns).toBe(2);
  });

  it('repeats the guess before where a reply has none', async () => {
    const { said } = await play('crane', inTags('[slate]'), 'hm', inTags('[crane]'));
    expect(said[1]).toContain("You have already guessed 'slate' before.");
    expect(said).toHaveLength(3);
  });

  it('names the secret that cannot be played', async () => {
    const { error, reward } = await play('cranes', inTags('[crane]'));
    expect(reward).toBeNull();
    expect(error).toMatchObject({ source: 'environment', where: 'game' });
    expect(error!.message).toContain('"cranes"');
  });

  it('survives 1,000 rollouts of a player who guesses whatever comes', async () => {
    const random = new Random(deriveKey(11));
    const anything = [
      () => random.pick(WORDS),
      () => random.pick(WORDS).toUpperCase(),
      () => `[${random.pick(WORDS)}]`,
      () => `[${random.pick(WORDS)}][${random.pick(WORDS)}`,
      () => String.fromCodePoint(...Array.from({ length: 5 }, () => random.below(0xd7ff))),
      () => random.pick(['', '[', ']', '[]', '[[]]', '</guess>', '<guess>', '\ud800', '__proto__', '[\u{1d4d0}]']),
    ];
    const text = () => {
      const guess = inTags(random.pick(anything)());
      return random.pick([guess, `well\n${guess}`, `${guess}${guess}`, guess.slice(0, -3), guess.slice(7), 'no']);
    };
    const stops = new Set<string | null>();
    for (let i = 0; i < 1000; i++) {
      const example = await env.example(i % env.evalDataset.length, 'eval');
      const trace = await env.rollout(example, new ScriptedModel(text), ROLLOUT);
      expect(trace.error).toBeNull();
      expect(trace.reward).toBeGreaterThanOrEqual(0);
      expect(trace.reward).toBeLessThanOrEqual(2.2 + 1e-12);
      expect(trace.turns.length).toBeLessThanOrEqual(2 * MOST_GUESSES);
      stops.add(trace.stopCondition);
    }
    expect([...stops]).toEqual(['has_final_env_response']);
  });

  it.each(['<guess>', '<guess>[', '</guess>', '[', 'a', '<guess>[slate]</guess>', '\n'])(
    'survives 100 kB of %j',
    async (part) => {
      const text = part.repeat(100_000 / part.length);
      for (const reply of [text, inTags(text), inTags(`[${text}]`)]) {
        const { error, reward } = await play('crane', reply);
        expect(error).toBeNull();
        expect(reward).toBeLessThan(env.passThreshold);
      }
    },
  );
});

describe('the words', () => {
  it('have five small letters, each word once', () => {
    for (const word of WORDS) expect(word).toMatch(/^[a-z]{5}$/);
    expect(new Set(WORDS).size).toBe(WORDS.length);
    expect(new Set(SECRETS).size).toBe(SECRETS.length);
    for (const word of SECRETS) expect(isWord(word)).toBe(true);
    expect(SECRETS.length).toBeGreaterThan(400);
    expect(WORDS.length).toBeGreaterThan(800);
  });

  it('are split: eval secrets are each asked once, whatever the seed, and never in training', async () => {
    const asked = async (split: 'train' | 'eval', seed: number, count: number) => {
      const other = libraryEntry('wordle').load({ seed });
      const rows = await Promise.all(Array.from({ length: count }, (_, i) => other.example(i, split)));
      return rows.map(({ answer }) => answer!);
    };
    const { length } = env.evalDataset;
    const held = await asked('eval', 0, length);
    expect(new Set(held).size).toBe(length);
    expect(length).toBeGreaterThanOrEqual(50);
    expect((await asked('eval', 7, length)).sort()).toEqual([...held].sort());
    const trained = new Set(await asked('train', 0, 5000));
    expect(trained.size).toBe(SECRETS.length - length);
    for (const word of held) expect(trained).not.toContain(word);
  });
});

describe('wordle-mini', () => {
  const mini = libraryEntry('wordle-mini').load();
  const playMini = async (answer: string, ...replies: string[]) => {
    let turn = 0;
    const model = new ScriptedModel(() => replies[Math.min(turn++, replies.length - 1)]!);
    const trace = await mini.rollout({ exampleId: 0, question: '?', answer }, model, ROLLOUT);
    const said = trace.completion.filter(({ role }) => role === 'user').map(({ content }) => content);
    return { ...trace, said };
  };

  it('says marks and nothing else, and a win is worth 1', async () => {
    const { said, reward, metrics } = await playMini('apt', 'tab', 'ape', 'apt');
    expect(said).toEqual(['YYX', 'GGX', 'GGG']);
    expect([reward, metrics.guesses]).toEqual([1, 3]);
  });

  it('is lost after four guesses, whatever they are', async () => {
    expect(await playMini('apt', 'tab')).toMatchObject({ reward: 0, said: ['YYX', 'YYX', 'YYX', 'YYX'] });
    for (const nothing of ['', 'APT', 'apt ', 'zzz', '?', 'GGG', 'x'.repeat(100_000)]) {
      expect(await playMini('apt', nothing)).toMatchObject({ reward: 0, said: ['-', '-', '-', '-'], error: null });
    }
  });

  it('has words of three letters that can all be found: marks tell any two of them apart', () => {
    expect(new Set(MINI_WORDS).size).toBe(MINI_WORDS.length);
    for (const word of MINI_WORDS) {
      expect(word).toMatch(/^[abdenprt]{3}$/);
      for (const guess of MINI_WORDS) expect(MINI_VOCABULARY).toContain(marksOf(guess, word));
    }
  });

  it('asks every word once a round, in another order each', async () => {
    const round = async (split: 'train' | 'eval', first: number) =>
      Promise.all(MINI_WORDS.map(async (_, i) => (await mini.example(first + i, split)).answer!));
    for (const split of ['train', 'eval'] as const) {
      const [one, two] = [await round(split, 0), await round(split, MINI_WORDS.length)];
      for (const words of [one, two]) expect([...words].sort()).toEqual([...MINI_WORDS].sort());
      expect(one).not.toEqual(two);
    }
  });
});
