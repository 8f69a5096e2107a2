/**
 * @file Words that a number may be followed by without changing it: "5 km", "90 degrees", "12 apples".
 *
 * The list follows math-verify 0.8.0, whose rewards it must reproduce, and so takes more than units: single letters too.
 * Surprise: 2t and 5m at the end of an answer are 2 and 5, so an answer in a variable of those names needs \cdot: 2\cdot t.
 */

const LENGTHS = 'km cm mm m dm ft feet inch inches mile yard metre meter mtr';
const AREAS_AND_VOLUMES =
  'acre hectare sq square cubic cube cc liter litre gallon gal l lt|sq m|sq . m|sq inch|m square|cu cm|cu . m|cm 2|pi sq m';
const TIMES = 'second sec s minute min hour hr h day month year yr noon am pm|a . m|p . m';
const SPEEDS = 'mph kmph kmh';
const WEIGHTS = 'kg g gm lb pound';
const MONEY = 'cent rupee rs coin|rs .|profit of rs';
const ANGLES_AND_DIRECTIONS = 'degree deg east west| m east|° f';
const PEOPLE = 'student men women man woman soldier|children ticket';
const THINGS = 'apple tile toy edge pie monkey meal ohm unit';
const CHANGES = 'increase decrease gain loss profit rise excess more less|no change';
const COUNTS = 'number digit multiple ratio prime per by th st rd mark rounds way are';
const LETTERS = 'c d o t ab bc mp mt|q .|s .|a .|b .|c .|d .|e .|f .|g .|h .';
const OTHERS = 'sue pure Surface integerpoint minw';

/** Longest first. A plural in s or es is taken too. */
export const UNITS: readonly string[] = [
  ...new Set(
    [
      LENGTHS,
      AREAS_AND_VOLUMES,
      TIMES,
      SPEEDS,
      WEIGHTS,
      MONEY,
      ANGLES_AND_DIRECTIONS,
      PEOPLE,
      THINGS,
      CHANGES,
      COUNTS,
      LETTERS,
      OTHERS,
    ].flatMap((group) => {
      const [words = '', ...phrases] = group.split('|');
      return [...words.split(' '), ...phrases];
    }),
  ),
].sort((a, b) => b.length - a.length);

/** Letters before the end in which a unit, its plural and the space around it must lie. */
const LONGEST = UNITS[0]!.length + 'es'.length;

/**
 * Removes one unit from the end of a text, if a number, a brace or a space stands before it.
 * As in math-verify the one that starts earliest goes: "5 sq m" is 5, not "5 sq".
 */
export function withoutUnit(text: string): string {
  const end = text.trimEnd().length;
  let best = text;
  for (let start = Math.max(0, end - LONGEST); start < end; start++) {
    if (!isUnit(text.slice(start, end))) continue;
    const before = text.slice(0, start).trimEnd();
    const last = before.at(-1);
    let rest: string | undefined;
    if (last !== undefined && (last === '}' || (last >= '0' && last <= '9'))) rest = before;
    else if (before.length < start) rest = text.slice(0, before.length + 1);
    if (rest !== undefined && rest.length < best.length) best = rest;
  }
  return best === '' ? text : best;
}

function isUnit(word: string): boolean {
  return [word, word.replace(/s$/, ''), word.replace(/es$/, '')].some((singular) => UNITS.includes(singular));
}
