/** @file Paragraphs that nobody has read before: sentences put together from parts, no part twice in a paragraph. */
import type { Random } from '../../../random';

const WHO = [
  'The old baker',
  'A tall sailor',
  'My neighbour',
  'The youngest daughter',
  'A retired teacher',
  'The night watchman',
  'An honest lawyer',
  'The village doctor',
  'A clever thief',
  'The new gardener',
  'Our cheerful postman',
  'The stubborn clerk',
  'A famous painter',
  'The tired nurse',
  'A lonely shepherd',
  'The quiet librarian',
];

const DOES = [
  'repaired a broken clock',
  'sold seven baskets of apples',
  'wrote a letter to the mayor',
  'found a silver coin',
  'painted the garden fence green',
  'told the same story twice',
  'carried a heavy wooden box',
  'lost a pair of woollen gloves',
  'counted the sheep on the hill',
  'learned to play the trumpet',
  'bought a map of the islands',
  'cooked soup for eleven guests',
  'drew a picture of the harbour',
  'planted a row of young cherry trees',
  'forgot the name of the hotel',
  'caught a very small fish',
];

const WHEN = [
  'before sunrise',
  'on a rainy Monday',
  'during the long winter',
  'behind the railway station',
  'while the bells were ringing',
  'without telling anybody',
  'in the middle of the market square',
  'after the last train had left',
  'at the edge of the forest',
  'for the third time that week',
  'under the stone bridge',
  'because the shop was closed',
  'next to the empty fountain',
  'a few days after the storm',
  'with the help of two children',
  'as soon as the guests were gone',
];

/** Sentences without their full stops, so that they can be quoted. */
export function drawSentences(random: Random, count: number): string[] {
  const [who, does, when] = [WHO, DOES, WHEN].map((parts) => random.sample(parts, count));
  return who!.map((subject, i) => `${subject} ${does![i]!} ${when![i]!}`);
}

/** The sentences as running text. */
export function paragraphOf(sentences: readonly string[]): string {
  return sentences.map((sentence) => `${sentence}.`).join(' ');
}
