/**
 * @file Telling a special token from its text. A message may hold the text of a special token (`<|im_end|>`, say), which must
 * stay text where the template's own `<|im_end|>` becomes the token. Before a message is rendered, the first character of
 * every such text is replaced by a stand-in: a private-use character that occurs nowhere else. The special tokens that are
 * left are the template's own; once they are split off, the stand-ins are turned back and the text is encoded as text.
 */
/** Matches nothing: a tokenizer may have no special tokens. */
const NEVER = '(?!)';

const PRIVATE_USE = { first: 0xe000, last: 0xf8ff };

/** The texts of special tokens, to be looked for in other texts. */
export class SpecialTexts {
  readonly #firsts: readonly string[];
  /** Matches the first character of every occurrence, those that overlap included. */
  readonly #pattern: RegExp;
  readonly #whole: RegExp;

  constructor(texts: readonly string[]) {
    const rests = new Map<string, string[]>();
    for (const text of texts) {
      const [first = '', ...rest] = text;
      if (first !== '') rests.set(first, [...(rests.get(first) ?? []), rest.join('')]);
    }
    this.#firsts = [...rests.keys()];
    const alternatives = [...rests].map(([first, list]) => `${escape(first)}(?=${list.map(escape).join('|')})`);
    this.#pattern = new RegExp(alternatives.join('|') || NEVER, 'gu');
    const longestFirst = [...texts].sort((a, b) => b.length - a.length);
    this.#whole = new RegExp(longestFirst.map(escape).join('|') || NEVER, 'gu');
  }

  /** How often each of them stands in a text. */
  in(text: string): Map<string, number> {
    const counts = new Map<string, number>();
    for (const [found] of text.matchAll(this.#whole)) counts.set(found, (counts.get(found) ?? 0) + 1);
    return counts;
  }

  /** @param around every text that the disguise will be used with: its stand-ins do not occur there */
  disguise(around: string): Disguise {
    return new Disguise(this.#pattern, this.#firsts, around);
  }
}

export class Disguise {
  /** One more character that occurs nowhere. */
  readonly marker: string;
  readonly #standIns = new Map<string, string>();
  readonly #back = new Map<string, string>();
  readonly #shown: RegExp;

  constructor(
    private readonly pattern: RegExp,
    firsts: readonly string[],
    around: string,
  ) {
    const unused = unusedCharacters(around);
    for (const first of firsts) {
      const standIn = unused();
      this.#standIns.set(first, standIn);
      this.#back.set(standIn, first);
      this.#back.set(jsonEscape(standIn), first); // a template may write JSON in ASCII
    }
    this.marker = unused();
    this.#shown = new RegExp([...this.#back.keys()].map(escape).join('|') || NEVER, 'gu');
  }

  /** Text in which no special token's text is left. */
  hide(text: string): string {
    return text.replace(this.pattern, (first) => this.#standIns.get(first)!);
  }

  /** The same for every string of a JSON value, keys included. */
  hideAll<T>(value: T): T {
    if (typeof value === 'string') return this.hide(value) as T;
    if (Array.isArray(value)) return value.map((item: unknown) => this.hideAll(item)) as T;
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.hide(key), this.hideAll(item)])) as T;
  }

  /** The reverse. */
  show(text: string): string {
    return text.replace(this.#shown, (standIn) => this.#back.get(standIn)!);
  }
}

/** Private-use characters that a text holds neither as they are nor escaped, one after the other. */
function unusedCharacters(text: string): () => string {
  let code = PRIVATE_USE.first;
  return () => {
    for (; code <= PRIVATE_USE.last; code++) {
      const character = String.fromCharCode(code);
      if (text.includes(character) || text.includes(jsonEscape(character))) continue;
      code++;
      return character;
    }
    throw new RangeError('a conversation that uses every private-use character cannot be rendered');
  };
}

function jsonEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16)}`;
}

function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
