/**
 * @file parsers.json and difflib.json: parsers, format scores and the similarity of strings as verifiers computes them.
 *
 * Where Python raises IndexError for a completion without an assistant message, ours answers null, as verifiers does from
 * v0.1.9 on: that is what is compared. Messages whose content is no text cannot be written in our types; a null stands
 * for '' and content parts for their joined text wherever Python's printing of them does not show in the result.
 */
import { ExtractParser, MaybeThinkParser, ThinkParser, XMLParser, messagesOf } from '../../src/envs/parsers';
import type { XMLField } from '../../src/envs/parsers';
import { extractBoxedAnswer } from '../../src/envs/math/extract';
import { matchingBlocks, sequenceRatio } from '../../src/envs/similarity';
import type { Message, Role } from '../../src/envs';
import { readJsonFile } from './files';
import { exempt, golden, outcome } from './golden';
import type { GoldenCase } from './golden';

interface GoldenMessage {
  role: Role;
  content?: string | null | { type: string; text?: string }[];
}

interface Expectation {
  id?: string;
  expected?: unknown;
  raises?: { type: string; message: string };
}

interface ParsersFile {
  configs: Record<string, { fields: XMLField[]; answer_field: string }>;
  xml_parse: (Expectation & { config: string; text: string; strip: boolean; last: boolean })[];
  xml_parse_answer: (Expectation & { config: string; completion: GoldenMessage[] | string })[];
  xml_format_reward: (Expectation & { config: string; completion: GoldenMessage[] })[];
  xml_format: (Expectation & { config: string; values: Record<string, string | number | null> })[];
  xml_describe: { config: string; get_fields: string[]; get_format_str: string }[];
  xml_bad_fields: (Expectation & { fields: XMLField[] })[];
  think_parse: { extract: string; text: string; think_parser: string; maybe_think_parser: string }[];
  think_format_reward: (Expectation & { completion: GoldenMessage[] })[];
  think_parse_answer: { completion: GoldenMessage[]; think_parser: Expectation; maybe_think_parser: Expectation }[];
  default_parser: {
    extract: string;
    completion: GoldenMessage[] | string;
    parse_answer: Expectation;
    format_reward: Expectation;
  }[];
  role_filters: (Record<'assistant' | 'user' | 'system' | 'tool', unknown> & { completion: Message[] })[];
}

const FILE = 'parsers.json';

/** Every list of parsers.json. */
export function parsersCases(dir: string): GoldenCase[] {
  const data = readJsonFile(dir, FILE) as ParsersFile;
  const xml = (name: string): XMLParser => {
    const { fields, answer_field: answerField } = data.configs[name]!;
    return new XMLParser(fields, { answerField });
  };
  const cases: GoldenCase[] = [];
  const compare = (list: keyof ParsersFile, id: string | number, got: unknown, expected: unknown) =>
    cases.push(golden(FILE, `${list} ${id}`, got, expected));
  /** Compares a result or an error's message; completions that we cannot express are exempt. */
  const judge = (
    list: keyof ParsersFile,
    id: string | number,
    completion: GoldenMessage[] | string,
    { expected, raises }: Expectation,
    run: () => unknown,
  ) => {
    const reason = printedByPython(completion, expected, raises);
    if (reason !== undefined) cases.push(exempt(FILE, `${list} ${id}`, expected ?? raises, reason));
    else if (raises?.type === 'IndexError') compare(list, id, run(), null);
    else compare(list, id, outcome(run), raises ? { raises: raises.message } : { value: expected });
  };

  data.xml_parse.forEach(({ id, config, text, strip, last, expected }, i) =>
    compare('xml_parse', id ?? i, xml(config).parseFields(text, { strip, last }), expected),
  );
  data.xml_parse_answer.forEach((test, i) =>
    judge('xml_parse_answer', test.id ?? i, test.completion, test, () => answerOf(xml(test.config), test.completion)),
  );
  data.xml_format_reward.forEach((test, i) =>
    judge('xml_format_reward', test.id ?? i, test.completion, test, () =>
      xml(test.config).formatScore(messages(test.completion)),
    ),
  );
  data.xml_format.forEach((test, i) =>
    judge('xml_format', test.id ?? i, [], test, () => xml(test.config).format(test.values)),
  );
  data.xml_describe.forEach(({ config, get_fields: fields, get_format_str: text }) => {
    compare('xml_describe', `${config} fields`, xml(config).getFields(), fields);
    compare('xml_describe', `${config} format`, xml(config).getFormatString(), text);
  });
  data.xml_bad_fields.forEach((test, i) =>
    judge('xml_bad_fields', i, [], test, () => (new XMLParser(test.fields), 'ok')),
  );
  data.think_parse.forEach((test, i) => {
    const options = optionsFor(test.extract);
    compare('think_parse', `${i} think`, new ThinkParser(options).parse(test.text), test.think_parser);
    compare('think_parse', `${i} maybe`, new MaybeThinkParser(options).parse(test.text), test.maybe_think_parser);
  });
  data.think_format_reward.forEach((test, i) =>
    judge('think_format_reward', i, test.completion, test, () =>
      new ThinkParser().formatScore(messages(test.completion)),
    ),
  );
  data.think_parse_answer.forEach(({ completion, ...expected }, i) => {
    judge('think_parse_answer', `${i} think`, completion, expected.think_parser, () =>
      answerOf(new ThinkParser(), completion),
    );
    judge('think_parse_answer', `${i} maybe`, completion, expected.maybe_think_parser, () =>
      answerOf(new MaybeThinkParser(), completion),
    );
  });
  data.default_parser.forEach(({ completion, ...test }, i) => {
    const parser = new ExtractParser(optionsFor(test.extract));
    judge('default_parser', `${i} answer`, completion, test.parse_answer, () => answerOf(parser, completion));
    compare('default_parser', `${i} format`, parser.formatScore(messages(completion)), test.format_reward.expected);
  });
  data.role_filters.forEach(({ completion, ...roles }, i) => {
    for (const [role, expected] of Object.entries(roles)) {
      compare('role_filters', `${i} ${role}`, messagesOf(completion, role as Role), expected);
    }
  });
  return cases;
}

function optionsFor(extract: string): { extract?: (text: string) => string } {
  return extract === 'boxed' ? { extract: extractBoxedAnswer } : {};
}

function answerOf(parser: ExtractParser | XMLParser, completion: GoldenMessage[] | string): string | null {
  return typeof completion === 'string' ? parser.parse(completion) : parser.parseAnswer(messages(completion));
}

function messages(completion: GoldenMessage[] | string): Message[] {
  if (typeof completion === 'string') return [];
  return completion.map(({ role, content }) => ({
    role,
    content: Array.isArray(content) ? content.map(({ text = '' }) => text).join('') : (content ?? ''),
  }));
}

/** Why a case is about Python's objects alone, if it is. */
function printedByPython(
  completion: GoldenMessage[] | string,
  expected: unknown,
  raises: Expectation['raises'],
): string | undefined {
  if (raises?.type === 'AssertionError') return 'a message without content: our Message always has one';
  if (raises?.type === 'ZeroDivisionError') return 'Python divides by the number of messages, 0; ours scores 0';
  if (typeof completion === 'string') return undefined;
  if (completion.some(({ content }) => content === null) && expected === 'None') return 'Python prints None';
  const parts = completion.some(({ content }) => Array.isArray(content));
  // A printed list neither starts nor ends with a tag: its format score is not the text's.
  const seen = typeof expected === 'number' || (typeof expected === 'string' && expected.startsWith('['));
  return parts && seen ? 'Python prints the list of content parts' : undefined;
}

interface DifflibCase {
  id: string;
  a: string;
  b: string;
  ratio: number;
  matches: number;
  /** [start in a, start in b, size]; only given where there are few. */
  blocks?: [number, number, number][];
}

/** Every case of difflib.json: the ratio, and the matching blocks without the empty one at the end. */
export function difflibCases(dir: string): GoldenCase[] {
  const file = 'difflib.json';
  const { cases } = readJsonFile(dir, file) as { cases: DifflibCase[] };
  return cases.flatMap(({ id, a, b, ratio, matches, blocks }) => {
    const ours = matchingBlocks(a, b).slice(0, -1);
    return [
      golden(file, `${id} ratio`, sequenceRatio(a, b), ratio),
      golden(
        file,
        `${id} matches`,
        ours.reduce((sum, [, , size]) => sum + size, 0),
        matches,
      ),
      ...(blocks ? [golden(file, `${id} blocks`, ours, blocks)] : []),
    ];
  });
}
