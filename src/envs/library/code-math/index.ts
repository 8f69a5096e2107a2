/** @file code-math: problems that are solved by running code. */
import { z } from 'zod';
import { libraryEntryOf, seedOption } from '../entry';
import { loadFull } from './full';
import { CODE_MATH_VOCABULARY, loadMini } from './mini';

const options = z.object({
  seed: seedOption,
  size: z.enum(['full', 'mini']).default('full').describe('A few lines of code, or one expression for tiny models'),
});

export const codeMath = libraryEntryOf({
  name: 'code-math',
  title: 'Code math',
  summary: 'Solve a problem by running JavaScript, and put the answer in a box.',
  tags: ['math', 'code', 'tools', 'multi-turn'],
  examplePrompts: [
    'How many of the whole numbers from 1 to 2000 are divisible by 7 or by 11?',
    'What is the sum of the decimal digits of 7 to the power of 45?',
  ],
  options,
  load: (given) => (given.size === 'mini' ? loadMini(given) : loadFull(given)),
});

export const codeMathMini = libraryEntryOf({
  name: 'code-math-mini',
  title: 'Code math, mini',
  summary: 'Turn a word problem into an expression, run it, and say the result.',
  tags: ['math', 'code', 'tools', 'multi-turn'],
  examplePrompts: ['17 bags of 6 and 25 more', '52 less 17'],
  tiny: { vocabulary: CODE_MATH_VOCABULARY, context: 30 },
  options: options.pick({ seed: true }),
  load: loadMini,
});
