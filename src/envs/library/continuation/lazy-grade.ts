/** @file The script that grades a continuation, loaded when it is first asked. */

const [FEWEST_WORDS, MOST_WORDS] = [8, 80];

/** Takes a grade off for each thing that is not as it should be; what is no text, or a whole book, gets an F. */
export function gradeOf(question: string): string {
  const beginning = between(question, 'beginning');
  const continuation = between(question, 'continuation');
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
