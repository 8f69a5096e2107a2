/**
 * @file The runs of configs/lessons, each made to fail in its own way. Loaded when somebody asks for them: the files and the
 * TOML reader are of no use before.
 */
import { parse } from 'smol-toml';
import type { ConfigLayer } from '../src/rl';

export interface Lesson {
  /** The file's name without its ending. */
  name: string;
  title: string;
  /** What happens, and why. */
  story: string;
  layer: ConfigLayer;
}

/** Reads a lesson: the comment on top is its title and story, the rest are settings. */
export function readLesson(name: string, text: string): Lesson {
  const lines = text.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('#'));
  const [title = '', ...story] = lines.slice(0, end).map((line) => line.slice(1).trim());
  return { name, title, story: story.join(' '), layer: parse(text) };
}

const files = import.meta.glob<string>('../configs/lessons/*.toml', { query: '?raw', import: 'default', eager: true });

/** By title. */
export const LESSONS: readonly Lesson[] = Object.entries(files)
  .map(([path, text]) => readLesson(path.replace(/.*\/|\.toml$/g, ''), text))
  .sort((a, b) => a.title.localeCompare(b.title));
