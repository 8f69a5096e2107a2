/** @file doublecheck: the problems of arithmetic, and after the first answer the question whether it is right. */
import { z } from 'zod';
import type { Random } from '../../../random';
import { MathRubric, scoreMathLazily } from '../../math_rubric';
import { MultiTurnEnv } from '../../multi_turn';
import type { MultiTurnOptions } from '../../multi_turn';
import type { RewardArgs } from '../../rubric';
import type { Message } from '../../types';
import { BOX_PROMPT, PROBLEMS, boxed, misreckon } from '../arithmetic/problems';
import { libraryEntryOf, seedOption } from '../entry';
import { splitDatasets } from '../held_out';

const SYSTEM_PROMPT = `${BOX_PROMPT} Do so in every reply: the last one counts.`;
const DOUBT: Message = { role: 'user', content: 'Are you sure?' };

export class DoubleCheckEnv extends MultiTurnEnv {
  constructor(options: MultiTurnOptions) {
    super(options);
    this.addStop('double_checked', ({ turns }) => turns.length >= 2);
  }

  protected override envResponse(): Message[] {
    return [DOUBT];
  }
}

const options = z.object({
  seed: seedOption,
  difficulty: z
    .enum(['easy', 'hard'])
    .default('easy')
    .describe('As in arithmetic: one step with one or two digits, or more of both'),
});

export function loadEnvironment({ seed, difficulty }: z.output<typeof options>): DoubleCheckEnv {
  return new DoubleCheckEnv({
    name: 'doublecheck',
    ...splitDatasets(seed, PROBLEMS[difficulty]),
    systemPrompt: SYSTEM_PROMPT,
    rubric: new MathRubric().addMetric('first_answer', firstAnswer),
    sampling: { maxTokens: 512 },
    demonstrate: ({ answer, working }, random, { careless }) => {
      const [first, second] = random.next() < careless ? mistaken(answer!, random) : [answer!, answer!];
      return [
        { role: 'assistant', content: `${String(working)}\n${boxed(first)}` },
        DOUBT,
        { role: 'assistant', content: first === second ? `Yes: ${boxed(second)}` : `No: ${boxed(second)}` },
      ];
    },
  });
}

/** Whether the answer was right before anybody asked. */
function firstAnswer({ completion, parser, answer }: RewardArgs): Promise<number> {
  return scoreMathLazily(parser.parseAnswer(completion.slice(0, 1)) ?? '', answer);
}

/** A careless demonstrator sticks to a wrong answer, or gives a right one up. */
function mistaken(answer: string, random: Random): [first: string, second: string] {
  const wrong = misreckon(answer, random);
  return [random.next() < 0.5 ? wrong : answer, wrong];
}

export const doublecheck = libraryEntryOf({
  name: 'doublecheck',
  title: 'Double check',
  summary: 'Work out a sum, and stand by the answer when it is doubted.',
  tags: ['math', 'multi-turn'],
  examplePrompts: ['What is 47 + 35?', 'What is (12 + 30) × 7 - 45?'],
  options,
  load: loadEnvironment,
});
