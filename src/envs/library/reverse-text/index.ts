/** @file reverse-text: write a word of random letters backwards. */
import { PURPOSE, Random, deriveKey } from '../../../random';
import { generated } from '../../dataset';
import { SingleTurnEnv } from '../../multi_turn';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';
import { sequenceRatio } from '../../similarity';

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];
const EVAL_ROWS = 1000;

/** 1 when the answer is exactly right. */
function exactMatch({ response, answer }: RewardArgs): number {
  return response === answer ? 1 : 0;
}

/** How alike answer and response are, by difflib's ratio. */
function similarity({ response, answer }: RewardArgs): number {
  return sequenceRatio(response, answer);
}

export interface ReverseTextOptions {
  /** Seed of the tasks. */
  seed?: number;
  minLength?: number;
  maxLength?: number;
}

export function loadEnvironment({ seed = 0, minLength = 3, maxLength = 8 }: ReverseTextOptions = {}): SingleTurnEnv {
  const row = (split: number, index: number) => {
    const random = new Random(deriveKey(seed, PURPOSE.dataset, split, index));
    for (;;) {
      const length = random.between(minLength, maxLength);
      const word = Array.from({ length }, () => random.pick(LETTERS)).join('');
      if (isHeldOut(word) === (split === 1)) return { question: word, answer: [...word].reverse().join('') };
    }
  };
  return new SingleTurnEnv({
    name: 'reverse-text',
    dataset: generated((index) => row(0, index)),
    evalDataset: generated((index) => row(1, index), EVAL_ROWS),
    rubric: new Rubric({ exactMatch, similarity }, { weights: { similarity: 0 } }),
    sampling: { maxTokens: 16 },
    demonstrate: ({ question, answer }, random, { careless }) => [
      { role: 'assistant', content: random.next() < careless ? slip(question!, answer!, random) : answer! },
    ],
  });
}

/** A tenth of all words, by their letters, is never trained on. */
function isHeldOut(word: string): boolean {
  let hash = 0;
  for (const letter of word) hash = (hash * 131 + letter.charCodeAt(0)) % 1_000_003;
  return hash % 10 === 0;
}

/** A careless demonstrator echoes the word, stops a letter early, or swaps two letters. */
function slip(question: string, answer: string, random: Random): string {
  const habit = random.pick(['echo', 'short', 'swap'] as const);
  if (habit === 'echo') return question;
  if (habit === 'short') return answer.slice(0, -1);
  const i = random.below(answer.length - 1);
  return answer.slice(0, i) + answer[i + 1]! + answer[i]! + answer.slice(i + 2);
}
