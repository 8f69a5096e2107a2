/** @file Beginnings of stories that nobody has read before, and how each might go on. */
import type { Random } from '../../../random';

const HEROES = [
  ...['Marta', 'Old Tobias', 'Captain Reed', 'Little Suki', 'Professor Lind', 'Bruno', 'Aunt Olive', 'The miller'],
  ...['Yara', 'Doctor Finch', 'The lighthouse keeper', 'Emil', 'Nadia', 'The apprentice', 'Grandmother Ruth', 'Pavel'],
];
const WISHES = [
  ...['wanted to cross the river before nightfall', 'had promised to bring the clock back in one piece'],
  ...['was looking for a house with a blue door', 'meant to sing at the fair for once in a lifetime'],
  ...['hoped to sell the last basket of plums', 'had to deliver a letter to the far end of the valley'],
  ...['dreamed of baking bread that would stay fresh for a year', 'was going to repair the roof of the school'],
  ...['had decided to climb the tower and count the bells', 'wished to find out who fed the grey cat'],
];
const TROUBLES = [
  ...['the bridge had been taken away', 'nobody in the village would say a word', 'the wind blew harder every hour'],
  ...['the only key lay at the bottom of the well', 'a goose was blocking the way', 'the map showed another town'],
  ...['it had begun to snow', 'the lamp went out', 'there was a stranger on the stairs', 'the money was gone'],
];
const DEEDS = [
  ...['sat down on a stone and thought for a long while', 'knocked at the nearest door and asked for help'],
  ...['turned back, borrowed a rope and tried again', 'waited until the moon had come up'],
  ...['offered an apple and a good story in return', 'followed the sound of a distant accordion'],
];
const ENDS = [
  ...['in the morning the trouble had become a joke', 'nobody ever spoke of the matter again'],
  ...['from that day on things went better', 'the whole street came out to look'],
  ...['what seemed lost was found in a coat pocket', 'that was how the two became friends'],
];

export interface Story {
  hero: string;
  beginning: string;
  /** One way to go on. */
  continuation: string;
}

export function drawStory(random: Random): Story {
  const hero = random.pick(HEROES);
  return {
    hero,
    beginning: `${hero} ${random.pick(WISHES)}, but ${random.pick(TROUBLES)}.`,
    continuation: `${hero} ${random.pick(DEEDS)}, and ${random.pick(ENDS)}.`,
  };
}
