/**
 * @file Fields between tags: <reasoning>...</reasoning><answer>...</answer>. This is not XML: tags are exact strings
 * (case-sensitive, no attributes) and do not nest.
 *
 *     const parser = new XMLParser(['reasoning', ['code', 'answer']], { answerField: 'answer' });
 *
 * What surprises, kept because rewards of verifiers' environments depend on it:
 * - A field reaches from its first opening tag to the first closing tag after it: an unclosed tag swallows the next one.
 * - An empty field is '' (there), a missing one null.
 * - `parse` of a text takes the LAST answer; `parseAnswer` of messages the FIRST answer in the newest message with one.
 * - The format score counts stray tags as present, and neither order nor duplicates; `strict` does.
 */
import { Parser } from '../parser';
import type { Message } from '../types';
import { meanOverAssistant, messagesOf, occurrences } from './messages';
import { pythonStrip } from './whitespace';

/** A tag, or tags of which any will do; the first is the field's name and the one that `format` writes. */
export type XMLField = string | readonly string[];

/** Weights of the format score's four parts: they sum to 1. */
const WEIGHTS = { present: 0.4, spacing: 0.2, start: 0.2, end: 0.2 };

export class XMLParser extends Parser {
  readonly answerField: string;
  /** Per field its allowed tags, the canonical one first. */
  readonly #fields: readonly (readonly [string, ...string[]])[];

  /**
   * @param answerField the tag that holds the answer; one that is no tag of `fields` finds nothing
   * @throws RangeError for an empty list of alternatives, or two fields of one name
   * @throws TypeError for a field that is not text
   */
  constructor(fields: readonly XMLField[], { answerField = 'answer' }: { answerField?: string } = {}) {
    super();
    this.answerField = answerField;
    const names = new Set<string>();
    this.#fields = fields.map((field) => {
      const tags = allowedTags(field);
      if (names.has(tags[0])) throw new RangeError(`Duplicate field name: ${tags[0]}`);
      names.add(tags[0]);
      return tags;
    });
  }

  /**
   * Every allowed tag with what it holds, null where it is not there.
   * @param strip accepted for verifiers' sake and without effect: contents are always stripped, as they are there
   * @param last the last such element instead of the first
   */
  parseFields(text: string, { last = false }: { strip?: boolean; last?: boolean } = {}): Record<string, string | null> {
    return Object.fromEntries(this.#fields.flat().map((tag) => [tag, element(text, tag, last)]));
  }

  /** The last answer in a text. */
  override parse(text: string): string | null {
    return this.#isTag(this.answerField) ? element(text, this.answerField, true) : null;
  }

  /** The first answer in the newest assistant message that has one. */
  override parseAnswer(completion: readonly Message[]): string | null {
    if (!this.#isTag(this.answerField)) return null;
    for (const { content } of messagesOf(completion, 'assistant').reverse()) {
      const answer = element(content, this.answerField, false);
      if (answer !== null) return answer;
    }
    return null;
  }

  /**
   * How well the assistant's messages keep to the format, 0 to 1: the mean of
   *   0.4 x share of fields present, if any parses + 0.2 + 0.2 opens with the first field + 0.2 closes with the last.
   * As in verifiers plain text scores 0.2, and a stray tag makes its field present. With `strict` a field is present only
   * as exactly one closed element outside the others, and the 0.2 is given only to fields that are all there in order.
   */
  formatScore(completion: readonly Message[], { strict = false }: { strict?: boolean } = {}): number {
    return meanOverAssistant(completion, (text) => (strict ? this.#strictScore(text) : this.#score(text)));
  }

  /** The canonical names, in order. */
  getFields(): string[] {
    return this.#fields.map(([name]) => name);
  }

  /** An example of the format, for a prompt; alternatives as <[ a | b ]>. */
  getFormatString(): string {
    return this.#fields
      .map((tags) => (tags.length > 1 ? `[ ${tags.join(' | ')} ]` : tags[0]))
      .map((tag) => `<${tag}>\n...\n</${tag}>`)
      .join('\n');
  }

  /**
   * A message in the format. A field takes the value under its canonical name, or under its first alternative with one.
   * @throws RangeError for a field without a value
   */
  format(values: Readonly<Record<string, string | number | null | undefined>>): string {
    return this.#fields
      .map((tags) => {
        const [name] = tags;
        const given = tags.find((tag) => Object.hasOwn(values, tag));
        const value = given === undefined ? null : values[given];
        if (value == null) {
          const allowed = tags.map((tag) => `'${tag}'`).join(', ');
          throw new RangeError(`Missing value for field '${name}' (allowed: [${allowed}])`);
        }
        return `<${name}>\n${value}\n</${name}>`;
      })
      .join('\n');
  }

  #isTag(tag: string): boolean {
    return this.#fields.some((tags) => tags.includes(tag));
  }

  #score(text: string): number {
    const parsed = this.parseFields(text);
    const present = this.#fields.filter((tags) =>
      tags.some((tag) => parsed[tag] !== null || text.includes(`<${tag}>`) || text.includes(`</${tag}>`)),
    );
    const anyField = Object.values(parsed).some((content) => content !== null);
    const { start, end } = this.#edges(text);
    // In this order verifiers adds them up: floating-point sums depend on it.
    let score = anyField ? WEIGHTS.present * (present.length / this.#fields.length) : 0;
    score += WEIGHTS.spacing;
    if (start) score += WEIGHTS.start;
    if (end) score += WEIGHTS.end;
    return score;
  }

  #strictScore(text: string): number {
    const spans = this.#fields.map((tags) => onlyElement(text, tags));
    const closed = spans.filter((span) => span !== null).sort((a, b) => a.start - b.start);
    const apart = closed.filter(({ start }, i) => i === 0 || start >= closed[i - 1]!.end);
    if (apart.length === 0) return 0;
    const allInOrder = spans.every((span, i) => span !== null && span === apart[i]);
    const { start, end } = this.#edges(text);
    let score = WEIGHTS.present * (apart.length / this.#fields.length);
    if (allInOrder) score += WEIGHTS.spacing;
    if (start) score += WEIGHTS.start;
    if (end) score += WEIGHTS.end;
    return score;
  }

  #edges(text: string): { start: boolean; end: boolean } {
    const stripped = pythonStrip(text);
    return {
      start: this.#fields[0]?.some((tag) => stripped.startsWith(`<${tag}>`)) ?? false,
      end: this.#fields.at(-1)?.some((tag) => stripped.endsWith(`</${tag}>`)) ?? false,
    };
  }
}

function allowedTags(field: unknown): [string, ...string[]] {
  if (typeof field === 'string') return [field];
  if (!Array.isArray(field)) throw new TypeError('Each field must be a string or a tuple of strings.');
  const tags: unknown[] = field;
  const [first, ...others] = tags;
  if (tags.length === 0) throw new RangeError('Field tuple cannot be empty.');
  if (typeof first !== 'string' || !others.every((tag) => typeof tag === 'string')) {
    throw new TypeError('All alternatives in a tuple must be strings.');
  }
  return [first, ...others];
}

/** Stripped content of the first or last <tag>...</tag>; null where there is none. Reads the text once. */
function element(text: string, tag: string, last: boolean): string | null {
  const [open, close] = [`<${tag}>`, `</${tag}>`];
  let content: string | null = null;
  let from = 0;
  while (content === null || last) {
    const start = text.indexOf(open, from);
    const end = start < 0 ? -1 : text.indexOf(close, start + open.length);
    if (end < 0) break;
    content = text.slice(start + open.length, end);
    from = end + close.length;
  }
  return content === null ? null : pythonStrip(content);
}

/** Where the one element with any of these tags lies; null where there is not exactly one, or it is not closed. */
function onlyElement(text: string, tags: readonly string[]): { start: number; end: number } | null {
  const opened = tags.filter((tag) => text.includes(`<${tag}>`) || text.includes(`</${tag}>`));
  const [tag] = opened;
  if (opened.length !== 1 || tag === undefined) return null;
  if (occurrences(text, `<${tag}>`) !== 1 || occurrences(text, `</${tag}>`) !== 1) return null;
  const start = text.indexOf(`<${tag}>`);
  const close = text.indexOf(`</${tag}>`);
  return start < close ? { start, end: close + tag.length + 3 } : null;
}
