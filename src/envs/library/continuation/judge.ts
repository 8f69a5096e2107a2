/**
 * @file The judge of continuation: what it is asked, and a script that answers like one, for where there is no model to
 * ask. The script cannot tell good prose from bad; it sees whether a text goes on with the story at all.
 */
import { functionModel } from '../../eval/function_model';
import type { ChatModel } from '../../types';

export const GRADE_PROMPT = `Grade how well a continuation goes on with the beginning of a story: the same people, the same matter, good sentences, nothing said twice.

<beginning>
{question}
</beginning>

<continuation>
{response}
</continuation>

Give one letter from A, the best, over B, C and D to F, in this form:
<grade>C</grade>`;

const [FEWEST_WORDS, MOST_WORDS] = [8, 80];

/** Takes a grade off for each thing that is not as it should be; what is no text, or a whole book, gets an F. */
export function scriptedJudge(): ChatModel {
  return functionModel('scripted-judge', ({ messages }) => {
    const [asked] = messages;
    const beginning = between(asked!.content, 'beginning');
    const continuation = between(asked!.content, 'continuation');
    const words = wordsOf(continuation);
    const told = new Set(wordsOf(beginning));
    const isWord = (word: string) => /^[a-z]+$/.test(word);
    const faults = [
      !words.some((word) => told.has(word)), // it is about something else
      words.length < FEWEST_WORDS || words.length > MOST_WORDS || !words.every(isWord),
      !/[.!?]["')]?$/.test(continuation),
      repeats(words) || words.filter((word) => told.has(word)).length > words.length / 2,
    ].filter(Boolean).length;
    const hopeless = words.length < 2 || words.length > 3 * MOST_WORDS;
    return `<grade>${hopeless ? 'F' : 'ABCDF'[faults]!}</grade>`;
  });
}

/** The text between two tags. The graded text comes last: its part ends with the last closing tag, and it can forge none. */
function between(text: string, tag: 'beginning' | 'continuation'): string {
  const close = `</${tag}>`;
  const end = tag === 'beginning' ? text.indexOf(close) : text.lastIndexOf(close);
  return text.slice(text.indexOf(`<${tag}>`) + tag.length + 2, end).trim();
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** Whether three words in a row come twice. */
function repeats(words: readonly string[]): boolean {
  const seen = new Set<string>();
  return words.slice(2).some((word, i) => {
    const three = `${words[i]!} ${words[i + 1]!} ${word}`;
    return seen.size === seen.add(three).size;
  });
}
