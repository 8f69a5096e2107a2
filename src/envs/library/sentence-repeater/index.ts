/** @file sentence-repeater: say the sentences of a paragraph again, in the order in which they are asked for. */
import { z } from 'zod';
import type { Random } from '../../../random';
import { MultiTurnEnv } from '../../multi_turn';
import type { MultiTurnOptions } from '../../multi_turn';
import { messagesOf } from '../../parsers';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';
import { sequenceRatio } from '../../similarity';
import type { State } from '../../state';
import type { Message } from '../../types';
import { libraryEntryOf, seedOption } from '../entry';
import { lazySplitDatasets } from '../held_out';

const ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth'];

/** A row's `info`, as in verifiers. */
const repeaterInfo = z.looseObject({
  /** The first one is the end of the prompt. */
  questions: z.array(z.string()),
  answers: z.array(z.string()),
});

type RepeaterInfo = z.output<typeof repeaterInfo>;

export class SentenceRepeaterEnv extends MultiTurnEnv {
  constructor(options: MultiTurnOptions) {
    super(options);
    this.addStop(
      'all_questions_answered',
      ({ turns, info }) => turns.length >= repeaterInfo.parse(info).questions.length,
    );
  }

  protected override envResponse({ turns, info }: State): Message[] {
    return [ask(repeaterInfo.parse(info), turns.length)];
  }
}

function ask({ questions }: RepeaterInfo, turn: number): Message {
  return { role: 'user', content: questions[turn]! };
}

/** Mean of difflib's ratios between the replies and the right answers; 0 unless there are as many of both. */
function compareAnswers({ completion, info }: RewardArgs): number {
  const replies = messagesOf(completion, 'assistant');
  const { answers } = repeaterInfo.parse(info);
  if (replies.length !== answers.length) return 0;
  return answers.reduce((sum, answer, i) => sum + sequenceRatio(replies[i]!.content, answer) / answers.length, 0);
}

const options = z.object({ seed: seedOption });

export function loadEnvironment({ seed }: z.output<typeof options>): SentenceRepeaterEnv {
  return new SentenceRepeaterEnv({
    name: 'sentence-repeater',
    ...lazySplitDatasets(seed, async () => {
      const { drawSentences, paragraphOf } = await import('./lazy-paragraph');
      return (random) => {
        const sentences = drawSentences(random, ORDINALS.length);
        return drawTask(random, sentences, paragraphOf(sentences));
      };
    }),
    rubric: new Rubric({ compare_answers_reward_func: compareAnswers }),
    sampling: { maxTokens: 128 },
    passThreshold: 0.95,
    demonstrate: ({ info }, random, { careless }) => {
      const task = info as RepeaterInfo;
      return task.answers.flatMap((right, turn): Message[] => {
        const wrong = random.pick(task.answers.filter((answer) => answer !== right));
        const content = random.next() < careless ? wrong : right;
        return [...(turn > 0 ? [ask(task, turn)] : []), { role: 'assistant', content }];
      });
    },
  });
}

function drawTask(random: Random, sentences: readonly string[], paragraph: string) {
  const order = random.shuffle([...sentences.keys()]);
  const questions = order.map((at) => `What is the ${ORDINALS[at]!} sentence?`);
  const answers = order.map((at) => sentences[at]!);
  return {
    question: `${paragraph}\n\nAnswer with the sentence alone, to the letter, without its full stop. ${questions[0]!}`,
    answer: answers.join('\n'),
    info: { questions, answers },
  };
}

export const sentenceRepeater = libraryEntryOf({
  name: 'sentence-repeater',
  title: 'Sentence repeater',
  summary: 'Say the sentences of a paragraph again, in the order in which they are asked for.',
  tags: ['text', 'memory', 'multi-turn'],
  examplePrompts: [
    'The old baker lost a pair of woollen gloves. A tall sailor found a silver coin.\n\nWhat is the second sentence?',
  ],
  options,
  load: loadEnvironment,
});
