/**
 * @file The full alphabet-sort: the task, tags and reward of verifiers' environment of that name (v0.1.9). In one to three
 * turns the user gives a few more names each; the model answers with the whole list between tags and marks what is new.
 */
import type { Random } from '../../../random';
import { messagesOf, pythonStrip } from '../../parsers';
import { Rubric } from '../../rubric';
import type { RewardFunction } from '../../rubric';
import { sequenceRatio } from '../../similarity';
import { splitDatasets } from '../held_out';
import { freshName, syllableName } from '../syllables';
import { AlphabetSortEnv, conversation, sortInfo } from './env';
import type { SortInfo } from './env';

const TAGS = ['alphabetical_sorted', 'combined_alphabetical_sorted'] as const;
const NEW = ' // new name!';

export interface FullOptions {
  seed: number;
  minTurns: number;
  maxTurns: number;
  maxNamesPerTurn: number;
  similarityPower: number;
  powerPerTurn: boolean;
}

export function loadFull(options: FullOptions): AlphabetSortEnv {
  return new AlphabetSortEnv({
    name: 'alphabet-sort',
    ...splitDatasets(options.seed, (random) => drawTask(random, options)),
    rubric: new Rubric({ weighted_reward: weightedReward(options) }),
    sampling: { maxTokens: 512 },
    demonstrate: ({ info }, random, { careless }) => {
      const task = info as SortInfo;
      const replies = task.ground_truths.map((lines, turn) =>
        inTags(random.next() < careless ? lines.slice(0, -1) : lines, turn),
      );
      return conversation(replies, task);
    },
  });
}

/**
 * Mean over the turns of difflib's ratio between the list and the right one, raised to a power turn by turn or as a whole.
 * A reply may try several times; each try must then be better than the one before, or the turn scores 0.
 */
export function weightedReward({
  similarityPower,
  powerPerTurn,
}: Pick<FullOptions, 'similarityPower' | 'powerPerTurn'>): RewardFunction {
  const raised = (ratio: number) => ratio ** similarityPower;
  return ({ completion, info }) => {
    const { num_turns: turns, ground_truths: truths } = sortInfo.parse(info);
    const replies = messagesOf(completion, 'assistant');
    let sum = 0;
    for (let turn = 0; turn < turns; turn++) {
      const tries = elements(replies[turn]?.content ?? '', TAGS[turn === 0 ? 0 : 1]).map((text) => {
        const ratio = likeness(text, truths[turn] ?? []);
        return powerPerTurn ? raised(ratio) : ratio;
      });
      const improving = tries.every((score, i) => i === 0 || score > tries[i - 1]!);
      sum += improving ? (tries.at(-1) ?? 0) : 0;
    }
    const mean = turns > 0 ? sum / turns : 0;
    return powerPerTurn ? mean : raised(mean);
  };
}

/** difflib's ratio of two lists as lower-case text; 0 where either is empty. */
function likeness(text: string, truth: readonly string[]): number {
  const clean = (lines: readonly string[]) => lines.map((line) => pythonStrip(line).toLowerCase());
  const lines = clean(text.split('\n')).filter((line) => line !== '');
  if (lines.length === 0 || truth.length === 0) return 0;
  return sequenceRatio(lines.join('\n'), clean(truth).join('\n'));
}

/** What stands between each <tag> and the </tag> after it. */
function elements(text: string, tag: string): string[] {
  const [open, close] = [`<${tag}>`, `</${tag}>`];
  const contents: string[] = [];
  for (let from = 0; ;) {
    const start = text.indexOf(open, from);
    const end = start < 0 ? -1 : text.indexOf(close, start + open.length);
    if (end < 0) return contents;
    contents.push(text.slice(start + open.length, end));
    from = end + close.length;
  }
}

function inTags(lines: readonly string[], turn: number): string {
  const tag = TAGS[turn === 0 ? 0 : 1];
  return [`<${tag}>`, ...lines, `</${tag}>`].join('\n');
}

interface Name {
  first: string;
  last: string;
}

const written = ({ first, last }: Name) => first + last;

function drawTask(random: Random, { minTurns, maxTurns, maxNamesPerTurn }: FullOptions) {
  const taken = new Set<string>(); // no two first names alike, nor last names: the order has no ties
  const draw = () => freshName(taken, () => syllableName(random));
  const turns = Array.from({ length: random.between(minTurns, maxTurns) }, () =>
    Array.from({ length: random.between(1, maxNamesPerTurn) }, (): Name => ({ first: draw(), last: draw() })),
  );
  const key = random.pick(['first', 'last'] as const);
  const truths = turns.map((added, turn) =>
    turns
      .slice(0, turn + 1)
      .flat()
      .sort((a, b) => (a[key] < b[key] ? -1 : 1))
      .map((name) => written(name) + (turn > 0 && added.includes(name) ? NEW : '')),
  );
  const [question, ...followUps] = turns.map((names, turn) => ask(names.map(written).join(', '), key, turn));
  return {
    question: question!,
    answer: truths.at(-1)!.join('\n'),
    info: {
      num_turns: turns.length,
      follow_ups: followUps,
      ground_truths: truths,
      turn_names: turns.map((names) => names.map(written)),
      sort_by_first: key === 'first',
    },
  };
}

function ask(names: string, key: 'first' | 'last', turn: number): string {
  const order = `alphabetical order of the ${key.toUpperCase()} name`;
  if (turn === 0) {
    return `Put these people into ${order}: ${names}\n\nGive one name per line, written as here, between these tags:\n${inTags(['Name1', 'Name2'], 0)}`;
  }
  return (
    `Here are more people: ${names}\n\nNow put everybody, those of earlier turns too, into ${order}. ` +
    `End the line of each person who is new in this turn with \`${NEW}\`. ` +
    `Use these tags:\n${inTags(['Name1', `Name2${NEW}`], 1)}`
  );
}
