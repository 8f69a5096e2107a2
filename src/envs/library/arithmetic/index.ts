/**
 * @file arithmetic: sums with the answer in a box for pretrained models, and bare ones (`12+7=`) for tiny models; each in
 * two difficulties.
 */
import { z } from 'zod';
import { MathRubric } from '../../math_rubric';
import { SingleTurnEnv } from '../../multi_turn';
import { Rubric } from '../../rubric';
import { libraryEntryOf, seedOption } from '../entry';
import { splitDatasets } from '../held_out';
import { exactMatch } from '../scores';
import { BOX_PROMPT, PROBLEMS, boxed, misreckon } from './problems';

const options = z.object({
  seed: seedOption,
  size: z
    .enum(['full', 'mini'])
    .default('full')
    .describe('Sentences for pretrained models, or bare sums for tiny ones'),
  difficulty: z
    .enum(['easy', 'hard'])
    .default('easy')
    .describe('easy: one or two digits, plus and minus; hard: more digits, more steps, times (mini: three digits)'),
});

type Options = z.output<typeof options>;

export function loadEnvironment(given: Options): SingleTurnEnv {
  return given.size === 'mini' ? mini(given) : full(given);
}

function full({ seed, difficulty }: Options): SingleTurnEnv {
  return new SingleTurnEnv({
    name: 'arithmetic',
    ...splitDatasets(seed, PROBLEMS[difficulty]),
    systemPrompt: BOX_PROMPT,
    rubric: new MathRubric().addMetric(
      'boxed',
      ({ completion }) => completion.at(-1)?.content.includes('\\boxed{') ?? false,
    ),
    sampling: { maxTokens: 512 },
    demonstrate: ({ answer, working }, random, { careless }) => {
      const said = random.next() < careless ? misreckon(answer!, random) : answer!;
      return [{ role: 'assistant', content: `${String(working)}\n${boxed(said)}` }];
    },
  });
}

function mini({ seed, difficulty }: Options): SingleTurnEnv {
  const largest = difficulty === 'easy' ? 99 : 999;
  return new SingleTurnEnv({
    name: 'arithmetic-mini',
    ...splitDatasets(seed, (random) => {
      // Single digits would be rare otherwise.
      const number = () => random.between(0, random.next() < 0.25 ? 9 : largest);
      const [a, b] = [number(), number()];
      return { question: `${a}+${b}=`, answer: String(a + b) };
    }),
    rubric: new Rubric({ exactMatch }),
    sampling: { maxTokens: 6 },
    demonstrate: ({ answer }, random, { careless }) => [
      { role: 'assistant', content: random.next() < careless ? misreckon(answer!, random) : answer! },
    ],
  });
}

export const arithmetic = libraryEntryOf({
  name: 'arithmetic',
  title: 'Arithmetic',
  summary: 'Work out a sum and put the answer in a box.',
  tags: ['math', 'single-turn'],
  examplePrompts: ['What is 47 + 35?', 'What is (12 + 30) × 7 - 45?'],
  options,
  load: loadEnvironment,
});

export const arithmeticMini = libraryEntryOf({
  name: 'arithmetic-mini',
  title: 'Arithmetic, mini',
  summary: 'Add two numbers.',
  tags: ['math', 'single-turn'],
  examplePrompts: ['12+7=', '48+36='],
  tiny: { alphabet: '0123456789+=', context: 13 },
  options: options.omit({ size: true }),
  load: (given) => loadEnvironment({ ...given, size: 'mini' }),
});
