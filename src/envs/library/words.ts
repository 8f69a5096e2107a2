/** @file Tasks on words of random letters: the words, how long they are, and how a careless demonstrator gets them wrong. */
import { z } from 'zod';
import type { Random } from '../../random';

export const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const letters = [...LETTERS];

export function randomWord(random: Random, minLength: number, maxLength: number): string {
  const length = random.between(minLength, maxLength);
  return Array.from({ length }, () => random.pick(letters)).join('');
}

/** The options of a word's length, with their defaults. */
export function wordLengths(shortest: number, longest: number) {
  const length = z.int().min(2).max(24);
  return {
    minLength: length.default(shortest).describe('Letters of the shortest word'),
    maxLength: length.default(longest).describe('Letters of the longest word'),
  };
}

/** For `refine`: what the two have to do with each other. */
export const orderedLengths = [
  ({ minLength, maxLength }: { minLength: number; maxLength: number }) => minLength <= maxLength,
  'minLength is larger than maxLength',
] as const;

/** A careless demonstrator echoes the question, stops a letter early, or swaps two letters. */
export function slip(question: string, answer: string, random: Random): string {
  const habit = random.pick(['echo', 'short', 'swap'] as const);
  if (habit === 'echo') return question;
  if (habit === 'short') return answer.slice(0, -1);
  const i = random.below(answer.length - 1);
  return answer.slice(0, i) + answer[i + 1]! + answer[i]! + answer.slice(i + 2);
}
