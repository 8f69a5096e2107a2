/** @file even-digits: say eight even digits. Learnable from random weights, without any demonstration. */
import { z } from 'zod';
import { generated } from '../../dataset';
import { SingleTurnEnv } from '../../multi_turn';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';
import { libraryEntryOf, seedOption } from '../entry';

const WANTED = 8;

/** Share of even digits among the first eight characters; saying too little or too much costs. */
function evenShare({ response }: RewardArgs): number {
  const even = [...response.slice(0, WANTED)].filter((character) => '02468'.includes(character)).length;
  return even / Math.max(WANTED, response.length);
}

/** 1 when it is exactly eight even digits. */
function exactMatch({ response }: RewardArgs): number {
  return /^[02468]{8}$/.test(response) ? 1 : 0;
}

export function loadEnvironment(): SingleTurnEnv {
  return new SingleTurnEnv({
    name: 'even-digits',
    dataset: generated(() => ({ question: '' })),
    rubric: new Rubric({ evenShare, exactMatch }, { weights: { exactMatch: 0 } }),
    sampling: { maxTokens: WANTED },
    passThreshold: 1,
  });
}

export const evenDigits = libraryEntryOf({
  name: 'even-digits',
  title: 'Even digits',
  summary: 'Say eight even digits. From random weights, without a demonstration.',
  tags: ['digits', 'single-turn', 'no demonstrations'],
  examplePrompts: [''],
  tiny: { alphabet: '0123456789', context: 12 },
  options: z.object({ seed: seedOption }),
  load: loadEnvironment,
});
