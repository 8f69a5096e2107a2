/**
 * @file What the fictional encyclopedia knows of: the kinds of pages, the facts on them, and how facts are said and asked.
 * In templates {x} is the subject and {v} the value. A fact whose value is another page is a link; `phrase` then names the
 * value by the subject, so that a question about it takes two steps: "In which year was [the founder of {x}] born?"
 */
import type { Random } from '../../../random';
import { capitalized, syllable, syllableName } from '../syllables';

export type KindName = 'town' | 'river' | 'mountain' | 'person' | 'company' | 'festival';

export interface FactKind {
  section: string;
  /** A kind of page to link to, or a value by chance. */
  value: KindName | ((random: Random) => string);
  say: readonly string[];
  ask: string;
  phrase?: string;
}

export interface PageKind {
  count: number;
  title: (random: Random) => string;
  /** In sentences: `the ` before the title, for some. */
  article: '' | 'the ';
  /** What the subject is called once a section has named it; by default the last part of its title. */
  again?: string;
  intro: readonly string[];
  /** Sentences without a fact, for any section. */
  filler: readonly string[];
  facts: Readonly<Record<string, FactKind>>;
}

const year = (low: number, high: number) => (random: Random) => String(random.between(low, high));
const number = (low: number, high: number) => (random: Random) => random.between(low, high).toLocaleString('en-US');
const one = (list: string) => {
  const choices = list.split(', ');
  return (random: Random) => random.pick(choices);
};

const TOWN_ENDINGS = 'wick ford stead haven mouth bury dale ham bridge minster'.split(' ');
const TRADES = 'Glassworks Shipyard Mills Instruments Press Ironworks Pottery Clockworks Foundry Brewery'.split(' ');
const THEMES =
  'Lantern Harvest Kite Bell Salt Apple River Candle Straw Goose Honey Ice Moon Mask Drum Wool Bread Pear Torch Fiddle'.split(
    ' ',
  );

export const KINDS: Readonly<Record<KindName, PageKind>> = {
  town: {
    count: 130,
    title: (random) => capitalized(syllable(random) + syllable(random) + random.pick(TOWN_ENDINGS)),
    article: '',
    again: 'the town',
    intro: ['{x} is a market town.', '{x} is a small town.', '{x} is a town of narrow streets.'],
    filler: [
      'The square is paved with grey stone.',
      'Two old mills stand at the edge of the town.',
      'On clear days the hills can be seen from the church tower.',
      'Most of the houses have slate roofs.',
      'A weekly market is held in front of the town hall.',
    ],
    facts: {
      river: {
        section: 'Geography',
        value: 'river',
        say: ['{x} lies on the {v}.', 'The {v} flows through {x}.'],
        ask: 'Which river flows through {x}?',
        phrase: 'the river that flows through {x}',
      },
      population: {
        section: 'Geography',
        value: number(1200, 88_000),
        say: ['{x} has {v} inhabitants.', 'At the last count {v} people lived in {x}.'],
        ask: 'How many people live in {x}?',
      },
      founded: {
        section: 'History',
        value: year(900, 1790),
        say: ['{x} was founded in {v}.', 'The founding charter of {x} dates from {v}.'],
        ask: 'In which year was {x} founded?',
      },
      mayor: {
        section: 'History',
        value: 'person',
        say: ['The first mayor of {x} was {v}.', '{v} became the first mayor of {x}.'],
        ask: 'Who was the first mayor of {x}?',
        phrase: 'the first mayor of {x}',
      },
      craft: {
        section: 'Life',
        value: one(
          'glassblowing, bell founding, lace making, paper making, rope making, salt boiling, basket weaving, bookbinding',
        ),
        say: ['{x} is known for {v}.', 'For generations {x} has lived from {v}.'],
        ask: 'For which craft is {x} known?',
      },
      twin: {
        section: 'Life',
        value: 'town',
        say: ['{x} is twinned with {v}.', 'The twin town of {x} is {v}.'],
        ask: 'What is the twin town of {x}?',
        phrase: 'the twin town of {x}',
      },
    },
  },
  river: {
    count: 50,
    title: (random) => `River ${syllableName(random)}${random.pick(['a', 'e', 'na', 'ra'])}`,
    article: 'the ',
    again: 'the river',
    intro: ['{x} is a river.', '{x} is a slow and winding river.', '{x} is a river with many arms.'],
    filler: [
      'Its water is brown after rain.',
      'Herons nest in the reeds along the banks.',
      'In hard winters it freezes over.',
      'Barges carry timber and grain.',
    ],
    facts: {
      source: {
        section: 'Course',
        value: 'mountain',
        say: ['{x} rises on {v}.', 'The source of {x} is on {v}.'],
        ask: 'On which mountain does {x} rise?',
        phrase: 'the mountain on which {x} rises',
      },
      length: {
        section: 'Course',
        value: number(24, 1600),
        say: ['{x} is {v} kilometres long.', 'From source to mouth {x} measures {v} kilometres.'],
        ask: 'How many kilometres long is {x}?',
      },
      bridge: {
        section: 'History',
        value: year(1100, 1820),
        say: ['The oldest bridge across {x} was built in {v}.', 'A first bridge across {x} was built in {v}.'],
        ask: 'In which year was the oldest bridge across {x} built?',
      },
      surveyor: {
        section: 'History',
        value: 'person',
        say: ['{x} was first mapped by {v}.', '{v} drew the first map of {x}.'],
        ask: 'Who first mapped {x}?',
        phrase: 'the person who first mapped {x}',
      },
    },
  },
  mountain: {
    count: 45,
    title: (random) => `Mount ${syllableName(random)}`,
    article: '',
    again: 'the mountain',
    intro: ['{x} is a mountain.', '{x} is a steep and lonely mountain.', '{x} is a mountain with two summits.'],
    filler: [
      'Snow lies on its northern side until June.',
      'A hut below the summit gives shelter in storms.',
      'Goats graze on the lower slopes.',
      'The view from the top is famous.',
    ],
    facts: {
      height: {
        section: 'Geography',
        value: number(900, 5900),
        say: ['{x} is {v} metres high.', 'The summit of {x} lies {v} metres above the sea.'],
        ask: 'How many metres high is {x}?',
      },
      rock: {
        section: 'Geography',
        value: one('granite, slate, basalt, limestone, sandstone, marble, gneiss, chalk'),
        say: ['{x} consists of {v}.', 'The rock of {x} is {v}.'],
        ask: 'Of which rock does {x} consist?',
      },
      climber: {
        section: 'Climbing',
        value: 'person',
        say: ['{v} was the first to climb {x}.', 'The first to stand on {x} was {v}.'],
        ask: 'Who was the first to climb {x}?',
        phrase: 'the first person to climb {x}',
      },
      climbed: {
        section: 'Climbing',
        value: year(1870, 1900),
        say: ['{x} was first climbed in {v}.', 'The first ascent of {x} was made in {v}.'],
        ask: 'In which year was {x} first climbed?',
      },
    },
  },
  person: {
    count: 165,
    title: (random) => `${syllableName(random)} ${syllableName(random)}`,
    article: '',
    intro: ['{x} is remembered for a long life of work.', '{x} left many letters.', '{x} was widely known.'],
    filler: [
      'Several portraits have survived.',
      'The diaries were only found much later.',
      'Friends spoke of great patience.',
      'A street has been named in memory.',
    ],
    facts: {
      born: {
        section: 'Early life',
        value: year(1825, 1850),
        say: ['{x} was born in {v}.', 'The year of birth of {x} is {v}.'],
        ask: 'In which year was {x} born?',
      },
      birthplace: {
        section: 'Early life',
        value: 'town',
        say: ['{x} was born in the town of {v}.', 'The birthplace of {x} is {v}.'],
        ask: 'In which town was {x} born?',
        phrase: 'the town in which {x} was born',
      },
      profession: {
        section: 'Work',
        value: one('botanist, carpenter, composer, geologist, painter, printer, surgeon, translator, weaver, notary'),
        say: ['{x} was a {v} by profession.', 'By profession {x} was a {v}.'],
        ask: 'What was the profession of {x}?',
      },
      employer: {
        section: 'Work',
        value: 'company',
        say: ['For many years {x} worked for {v}.', '{x} was employed by {v}.'],
        ask: 'For which company did {x} work?',
        phrase: 'the company for which {x} worked',
      },
      instrument: {
        section: 'Private life',
        value: one('viola, cello, trumpet, flute, harp, accordion, bassoon, clarinet'),
        say: ['{x} played the {v}.', 'In the evenings {x} played the {v}.'],
        ask: 'Which instrument did {x} play?',
      },
    },
  },
  company: {
    count: 65,
    title: (random) => `${syllableName(random)} ${random.pick(TRADES)}`,
    article: '',
    again: 'the company',
    intro: ['{x} is a company.', '{x} is a family business.', '{x} is a company of long standing.'],
    filler: [
      'Its catalogue is printed on blue paper.',
      'Visitors can see the old workshop.',
      'A fire destroyed the first building.',
      'Its trade mark is a small bird.',
    ],
    facts: {
      founder: {
        section: 'History',
        value: 'person',
        say: ['{x} was founded by {v}.', 'The founder of {x} was {v}.'],
        ask: 'Who founded {x}?',
        phrase: 'the founder of {x}',
      },
      founded: {
        section: 'History',
        value: year(1870, 1900),
        say: ['{x} was founded in {v}.', '{x} opened its doors in {v}.'],
        ask: 'In which year was {x} founded?',
      },
      seat: {
        section: 'Business',
        value: 'town',
        say: ['The head office of {x} is in {v}.', '{x} has its head office in {v}.'],
        ask: 'In which town does {x} have its head office?',
        phrase: 'the town in which {x} has its head office',
      },
      staff: {
        section: 'Business',
        value: number(12, 4800),
        say: ['{x} employs {v} people.', '{v} people work for {x}.'],
        ask: 'How many people does {x} employ?',
      },
      sideline: {
        section: 'Products',
        value: one('umbrellas, sundials, wallpaper, music boxes, weather vanes, chess sets, tin toys, compasses'),
        say: ['Besides its main trade {x} makes {v}.', '{x} also makes {v}.'],
        ask: 'What does {x} make besides its main trade?',
      },
    },
  },
  festival: {
    count: 45,
    title: (random) => `${random.pick(THEMES)} ${random.pick(['Fair', 'Festival', 'Parade'])}`,
    article: 'the ',
    again: 'the festivity',
    intro: ['{x} is a yearly festivity.', '{x} lasts three days.', '{x} draws visitors from far away.'],
    filler: [
      'Children carry paper lanterns.',
      'It ends with music and a long supper.',
      'Shops stay open until midnight.',
      'A prize is given for the best costume.',
    ],
    facts: {
      town: {
        section: 'Place and time',
        value: 'town',
        say: ['{x} takes place in {v}.', '{x} is held in the streets of {v}.'],
        ask: 'In which town does {x} take place?',
        phrase: 'the town in which {x} takes place',
      },
      month: {
        section: 'Place and time',
        value: one('January, February, March, April, May, June, July, August, September, October, November, December'),
        say: ['The month of {x} is {v}.', '{x} is celebrated every year in {v}.'],
        ask: 'In which month is {x} celebrated?',
      },
      starter: {
        section: 'Origin',
        value: 'person',
        say: ['{x} was started by {v}.', '{v} had the idea of {x} and started it.'],
        ask: 'Who started {x}?',
        phrase: 'the person who started {x}',
      },
      since: {
        section: 'Origin',
        value: year(1870, 1900),
        say: ['{x} was first held in {v}.', 'The first time that {x} was held was in {v}.'],
        ask: 'In which year was {x} first held?',
      },
    },
  },
};
