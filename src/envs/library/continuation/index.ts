/** @file continuation: go on with a story; a judge grades how. */
import { z } from 'zod';
import { JudgeRubric, letterGrade, verdict } from '../../judge_rubric';
import { SingleTurnEnv } from '../../multi_turn';
import type { ChatModel } from '../../types';
import { libraryEntryOf, seedOption } from '../entry';
import { lazySplitDatasets } from '../held_out';
import { GRADE_PROMPT, endpointJudge, scriptedJudge } from './judge';

const options = z
  .object({
    seed: seedOption,
    judgeUrl: z
      .union([z.literal(''), z.url()])
      .default('')
      .describe('OpenAI-compatible endpoint of the judge; empty = a script that sees only whether the story goes on'),
    judgeModel: z.string().default('').describe('The model to ask there'),
  })
  .refine(({ judgeUrl, judgeModel }) => judgeUrl === '' || judgeModel !== '', {
    path: ['judgeModel'],
    error: 'which model is asked at judgeUrl?',
  });

/** @param judge instead of the options' one: any model, such as one behind a key */
export function loadEnvironment(
  { seed, judgeUrl, judgeModel }: z.output<typeof options>,
  judge: ChatModel = judgeUrl ? endpointJudge(judgeUrl, judgeModel) : scriptedJudge(),
): SingleTurnEnv {
  return new SingleTurnEnv({
    name: 'continuation',
    ...lazySplitDatasets(seed, async () => {
      const { drawStory } = await import('./lazy-story');
      return (random) => {
        const { hero, beginning, continuation } = drawStory(random);
        return { question: beginning, answer: continuation, info: { hero } };
      };
    }),
    systemPrompt: 'Go on with the story in one or two sentences. Write nothing but the continuation.',
    rubric: new JudgeRubric({ judge, prompt: GRADE_PROMPT, functions: { grade_reward: verdict(letterGrade) } }),
    sampling: { maxTokens: 128 },
    passThreshold: 0.75,
    demonstrate: ({ question, answer }, random, { careless }) => {
      if (random.next() >= careless) return [{ role: 'assistant', content: answer! }];
      const [stopped, echo] = [answer!.split(' ').slice(0, 4).join(' '), question!];
      return [{ role: 'assistant', content: random.pick([stopped, `${echo} ${echo}`]) }];
    },
  });
}

export const continuation = libraryEntryOf({
  name: 'continuation',
  title: 'Continuation',
  summary: 'Go on with a story; a judge grades how.',
  tags: ['writing', 'judge', 'single-turn'],
  examplePrompts: ['Marta wanted to cross the river before nightfall, but the bridge had been taken away.'],
  options,
  load: (given) => loadEnvironment(given),
});
