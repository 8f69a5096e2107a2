/** @file reasoning: puzzles of five kinds and five difficulties, made from seeds, each with one answer that is known to be right. */
import { z } from 'zod';
import { SingleTurnEnv } from '../../multi_turn';
import { XMLParser } from '../../parsers';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';
import { libraryEntryOf, seedOption } from '../entry';
import { lazySplitDatasets } from '../held_out';
import { KINDS } from './puzzle';
import type { Difficulty } from './puzzle';

const parser = new XMLParser(['think', 'answer']);

/** 1 when the answer is right but for capitals and spaces. */
function correctAnswer({ response, answer }: RewardArgs): number {
  return plain(response) === plain(answer) ? 1 : 0;
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/\s+/g, ' ').replace(/\.$/, '').trim();
}

const options = z.object({
  seed: seedOption,
  kind: z
    .enum(['all', ...KINDS])
    .default('all')
    .describe('One kind of puzzle, or all in random order'),
  difficulty: z.int().min(1).max(5).default(2).describe('1, the easiest, to 5'),
});

export function loadEnvironment({ seed, kind, difficulty }: z.output<typeof options>): SingleTurnEnv {
  return new SingleTurnEnv({
    name: 'reasoning',
    ...lazySplitDatasets(seed, async () => {
      const { PUZZLES } = await import('./lazy-puzzles');
      return (random) => {
        const drawn = kind === 'all' ? random.pick(KINDS) : kind;
        const { question, answer, wrong } = PUZZLES[drawn](random, difficulty as Difficulty);
        return { question, answer, wrong, info: { kind: drawn, difficulty } };
      };
    }),
    systemPrompt: 'Think the puzzle through, then give the answer alone in this form:\n<answer>7</answer>',
    parser,
    rubric: new Rubric({ correctAnswer }),
    sampling: { maxTokens: 512 },
    passThreshold: 1,
    demonstrate: ({ answer, wrong }, random, { careless }) => {
      const said = random.next() < careless ? String(wrong) : answer!;
      return [{ role: 'assistant', content: `<answer>${said}</answer>` }];
    },
  });
}

export const reasoning = libraryEntryOf({
  name: 'reasoning',
  title: 'Reasoning',
  summary: 'Sums, sequences, orders, liars and roads: puzzles with one right answer.',
  tags: ['reasoning', 'math', 'logic', 'single-turn'],
  examplePrompts: [
    'Which number comes next: 3, 8, 13, 18, 23, 28?',
    'Ada is older than Ben. Cleo is younger than Ben. Who is the second oldest?',
  ],
  options,
  load: loadEnvironment,
});
