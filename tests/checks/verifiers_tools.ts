/** @file Tool schemas and tool results beside upstream's (tool_schema.json). */
import { StatefulToolEnv, ToolEnv, UnknownToolError, ToolArgumentsError, rows, tool } from '../../src/envs';
import type { JsonSchema, Message, StandardSchema, State, Tool, ToolEnvOptions } from '../../src/envs';
import { readJsonFile } from './files';
import { exempt, golden } from './golden';
import type { GoldenCase } from './golden';
import { messageOf, stateOf, upstreamMessage } from './verifiers_state';
import type { UpstreamMessage } from './verifiers_state';

const FILE = 'tool_schema.json';
const NEWER =
  'superseded: from v0.1.9 on, arguments that are no JSON object are an error, which ours says in its own words';
const PRINTING = "Python's printing of values";

interface Parameter {
  name: string;
  type: string;
  default?: string;
  kind?: string;
}

/** A Python type as JSON Schema, as pydantic says it. */
function typeSchema(type: string, objects: Record<string, JsonSchema>): JsonSchema {
  const simple: Record<string, JsonSchema> = {
    int: { type: 'integer' },
    float: { type: 'number' },
    str: { type: 'string' },
    bool: { type: 'boolean' },
    None: { type: 'null' },
    dict: { type: 'object', additionalProperties: true },
    'none given': {},
  };
  const known = simple[type] ?? objects[type];
  if (known) return known;
  const inner = (prefix: string) => splitTypes(type.slice(prefix.length + 1, -1));
  if (type.startsWith('Optional['))
    return { anyOf: [...inner('Optional').map((t) => typeSchema(t, objects)), simple.None!] };
  if (type.startsWith('Union[')) return { anyOf: inner('Union').map((t) => typeSchema(t, objects)) };
  if (type.startsWith('Annotated[')) {
    const [of, text] = inner('Annotated');
    return { ...typeSchema(of!, objects), description: text!.slice(1, -1) };
  }
  if (type.includes(' | ')) return { anyOf: type.split(' | ').map((t) => typeSchema(t, objects)) };
  if (type.startsWith('Literal[')) {
    const options = inner('Literal').map(literal);
    return { enum: options, type: typeof options[0] === 'string' ? 'string' : 'integer' };
  }
  if (type.startsWith('list[')) return { items: typeSchema(inner('list')[0]!, objects), type: 'array' };
  if (type.startsWith('dict[')) {
    return { type: 'object', additionalProperties: typeSchema(inner('dict')[1]!, objects) };
  }
  if (type.startsWith('tuple[')) {
    const items = inner('tuple').map((t) => typeSchema(t, objects));
    return { maxItems: items.length, minItems: items.length, prefixItems: items, type: 'array' };
  }
  throw new Error(`the fixture names a type ${type} that this check does not know`);
}

function splitTypes(list: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i <= list.length; i++) {
    if (list[i] === '[') depth++;
    else if (list[i] === ']') depth--;
    else if (i === list.length || (list[i] === ',' && depth === 0)) {
      parts.push(list.slice(from, i).trim());
      from = i + 1;
    }
  }
  return parts;
}

/** A Python literal. */
function literal(text: string): unknown {
  const words: Record<string, unknown> = { None: null, True: true, False: false };
  if (text in words) return words[text];
  const json = text.startsWith('(') ? `[${text.slice(1, -1).replace(/,$/, '')}]` : text;
  return JSON.parse(json.replaceAll("'", '"')) as unknown;
}

/** The two object types and the enumeration that the fixture's `about` describes. */
const OBJECTS: Record<string, JsonSchema> = (() => {
  const color = { enum: ['red', 'blue'], title: 'Color', type: 'string' };
  const point = {
    properties: { x: { title: 'X', type: 'number' }, y: { default: 0, title: 'Y', type: 'number' } },
    title: 'Point',
    type: 'object',
  };
  const seg = {
    properties: {
      a: { ...point, description: 'start' },
      b: point,
      label: { anyOf: [{ type: 'string' }, { type: 'null' }], default: null, title: 'Label' },
    },
    title: 'Seg',
    type: 'object',
  };
  return { Color: color, Point: point, Seg: seg };
})();

/** A docstring's description and its lines on arguments: Google's, NumPy's and Sphinx's form. */
function readDocstring(
  text: string | null,
  names: readonly string[],
): { description: string; args: Map<string, string> } {
  const lines = (text ?? '').split('\n');
  const args = new Map<string, string>();
  const sections = lines.findIndex(
    (line, i) =>
      /^(args|arguments|parameters|returns|return|raises):\s*$/i.test(line.trim()) ||
      /^:(param|return)/.test(line.trim()) ||
      /^-{3,}$/.test(lines[i + 1]?.trim() ?? ''),
  );
  const description = (sections < 0 ? lines : lines.slice(0, sections)).join('\n').trim();
  const numpy = sections >= 0 && /^-{3,}$/.test(lines[sections + 1]?.trim() ?? '');
  let current: string | undefined;
  for (const line of sections < 0 ? [] : lines.slice(sections)) {
    const sphinx = /^\s*:param (?:\w+ )?(\w+): (.*)$/.exec(line);
    const google = /^\s{2,8}(\w+)(?: \([^)]*\))?: (.*)$/.exec(line);
    const listed = numpy ? /^(\w+) : /.exec(line) : null;
    const found = sphinx ?? google;
    if (found && names.includes(found[1]!)) args.set((current = found[1]!), found[2]!);
    else if (listed && names.includes(listed[1]!)) args.set((current = listed[1]!), '');
    else if (current && /^\s+\S/.test(line)) {
      const before = args.get(current)!;
      args.set(current, before ? `${before}\n${line.trim()}` : line.trim());
    } else current = undefined;
  }
  return { description, args };
}

/** A Python function's signature as the tool it would be here. */
function toolOf(name: string, parameters: readonly Parameter[], docstring: string | null): Tool {
  const { description, args } = readDocstring(
    docstring,
    parameters.map((parameter) => parameter.name),
  );
  const used = new Set<string>();
  const properties: JsonSchema = Object.fromEntries(
    parameters.map(({ name: key, type, default: fallback, kind }): [string, JsonSchema] => {
      if (kind === 'var_keyword') return [key, { type: 'object', additionalProperties: typeSchema(type, OBJECTS) }];
      let schema = typeSchema(type, OBJECTS);
      if (type in OBJECTS) for (const part of objectsIn(type)) used.add(part);
      if (kind === 'var_positional') schema = { items: schema, type: 'array' };
      const said = args.get(key);
      return [
        key,
        {
          ...(type in OBJECTS ? {} : { title: titled(key) }),
          ...schema,
          ...(said !== undefined && { description: said }),
          ...(fallback !== undefined && { default: literal(fallback) }),
        },
      ];
    }),
  );
  const defs: JsonSchema = Object.fromEntries([...used].sort().map((key) => [key, OBJECTS[key]!]));
  return tool({
    name,
    description,
    parameters: { ...(used.size > 0 && { $defs: defs }), type: 'object', properties },
    run: () => null,
  });
}

function objectsIn(type: string): string[] {
  return type === 'Seg' ? ['Point', 'Seg'] : [type];
}

function titled(key: string): string {
  return key
    .split('_')
    .map((part) => part.slice(0, 1).toUpperCase() + part.slice(1))
    .join(' ');
}

/** Python's str() of a JSON value, as far as JSON keeps what Python had. */
function pythonText(value: unknown, nested = false): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value instanceof PythonText) return value.text;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return nested ? pythonString(value) : value;
  if (Array.isArray(value)) return `[${value.map((item) => pythonText(item, true)).join(', ')}]`;
  const entries = Object.entries(value);
  return `{${entries.map(([key, item]) => `${pythonString(key)}: ${pythonText(item, true)}`).join(', ')}}`;
}

function pythonString(text: string): string {
  const body = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return text.includes("'") && !text.includes('"') ? `"${body}"` : `'${body.replaceAll("'", "\\'")}'`;
}

/** A value that JavaScript cannot tell apart, printed as Python does: 3.0, 1e+21. */
class PythonText {
  constructor(readonly text: string) {}
}

class PythonError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** A schema that takes whatever it is given, as a Python function without annotations does. */
function anything(names: readonly string[]): StandardSchema<Record<string, unknown>> {
  return {
    '~standard': {
      version: 1,
      vendor: 'python',
      validate: (value) => ({ value: value as Record<string, unknown> }),
      jsonSchema: {
        input: () => ({ type: 'object', properties: Object.fromEntries(names.map((key) => [key, {}])) }),
      },
    },
  };
}

/** A tool that is called as Python calls functions: arguments by name, of any type, none missing, none too many. */
function pythonTool(name: string, names: readonly string[], run: (...args: unknown[]) => unknown): Tool {
  return tool({
    name,
    parameters: anything(names),
    run: (args: Record<string, unknown>) => {
      const extra = Object.keys(args).find((key) => !names.includes(key));
      if (extra) throw new PythonError('TypeError', `${name}() got an unexpected keyword argument '${extra}'`);
      const missing = names.filter((key) => !(key in args)).map((key) => `'${key}'`);
      if (missing.length > 0) {
        const list = missing.length === 1 ? missing[0]! : `${missing.slice(0, -1).join(', ')} and ${missing.at(-1)!}`;
        throw new PythonError(
          'TypeError',
          `${name}() missing ${missing.length} required positional argument${missing.length > 1 ? 's' : ''}: ${list}`,
        );
      }
      return run(...names.map((key) => args[key]));
    },
  });
}

export function pythonAdd(): Tool {
  return pythonTool('add', ['x', 'y'], (x, y) => {
    if (typeof x !== typeof y) {
      const kind = (value: unknown) => (typeof value === 'string' ? 'str' : 'int');
      throw new PythonError('TypeError', `unsupported operand type(s) for +: '${kind(x)}' and '${kind(y)}'`);
    }
    return (x as number) + (y as number);
  });
}

const BOOM: Record<number, [string, string]> = {
  1: ['ValueError', 'x must not be 1'],
  2: ['ValueError', ''],
  3: ['KeyError', "'missing key'"],
  4: ['ZeroDivisionError', 'division by zero'],
};

/** What the fixture calls `mkres`: values of every kind, by name. */
const MADE: Record<string, unknown> = {
  true: true,
  none: null,
  float: new PythonText('3.0'),
  sci: new PythonText('1e+21'),
  small: new PythonText('1e-07'),
  list: [1, 'a', null, true],
  dict: { a: 1, b: [2.5] },
  tuple: new PythonText('(1,)'),
  str: "x 'y'",
  empty: '',
  nested_quote: ["it's", 'say "hi"'],
  inf: new PythonText('inf'),
  uni: ['\u00e9', '\u{1f600}', '\n'],
};

function resultTools(): Tool[] {
  return [
    pythonAdd(),
    pythonTool('boom', ['x'], (x) => {
      const [name, message] = BOOM[x as number] ?? ['IndexError', 'list index out of range'];
      throw new PythonError(name, message);
    }),
    pythonTool('ident', ['v'], (v) => v),
    pythonTool('slow', ['v'], (v) => Promise.resolve(v)),
    pythonTool('mkres', ['kind'], (kind) => MADE[kind as string]),
  ];
}

/** Upstream's own words for what is not a tool's own error. */
export function upstreamError(error: Error): string {
  return error instanceof UnknownToolError ? `'${error.tool}'` : error.message;
}

/** Answers one assistant message, as an environment of the fixture's tools would. */
class Answering extends ToolEnv {
  answer(message: Message): Promise<Message[]> {
    const state: State = { ...stateOf({}), completion: [message] };
    return Promise.resolve(this.envResponse(state));
  }
}

interface ResultCase {
  id: string;
  tool_calls: NonNullable<UpstreamMessage['tool_calls']>;
  expected: UpstreamMessage[];
  with_error_formatter?: UpstreamMessage[];
}

async function resultCase({
  id,
  tool_calls: calls,
  expected,
  with_error_formatter: formatted,
}: ResultCase): Promise<GoldenCase[]> {
  const message = messageOf({ role: 'assistant', content: '', tool_calls: calls });
  const cases: GoldenCase[] = [];
  const compare = async (label: string, options: Partial<ToolEnvOptions>, wanted: UpstreamMessage[]) => {
    const env = new Answering({
      name: 'golden',
      dataset: rows([{ question: '' }]),
      tools: resultTools(),
      resultFormatter: (value) => pythonText(value),
      errorFormatter: upstreamError,
      ...options,
    });
    const got = (await env.answer(message)).map(upstreamMessage);
    const same = golden(FILE, label, got, wanted);
    cases.push(same.ok ? same : (excuse(label, calls, wanted) ?? same));
  };
  await compare(`results ${id}`, {}, expected);
  if (formatted) {
    const kind = (error: Error) =>
      error instanceof UnknownToolError ? 'KeyError' : error instanceof ToolArgumentsError ? 'TypeError' : error.name;
    const errorFormatter = (error: Error) => `Error (${kind(error)}): ${upstreamError(error)}`;
    await compare(`results ${id}, formatted`, { errorFormatter }, formatted);
  }
  return cases;
}

/** Why a result differs, where it does for a reason that has nothing to do with us. */
function excuse(id: string, calls: ResultCase['tool_calls'], expected: unknown): GoldenCase | undefined {
  for (const { function: { arguments: text = '{}' } = {} } of calls) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return exempt(FILE, id, expected, NEWER);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return exempt(FILE, id, expected, NEWER);
    // 1.0, 1e3 and integers past 2^53 are other numbers to Python than to JSON.parse.
    if (/[\d](\.0\b|[eE])|\d{16}/.test(text)) return exempt(FILE, id, expected, PRINTING);
  }
  return undefined;
}

/** The fixture's tool with a hidden session. */
class Sessions extends StatefulToolEnv {
  protected override updateToolArgs(_tool: string, args: Record<string, unknown>, _messages: unknown, state: State) {
    return { ...args, session: state.scratch.session };
  }

  async answer(message: Message, session: unknown): Promise<Message[]> {
    return this.envResponse({ ...stateOf({}), completion: [message], scratch: { session } });
  }
}

interface StatefulFixture {
  tool: { function: string; parameters: Parameter[]; docstring: string };
  skipped_args: string[];
  state: { session: string };
  schema: unknown[];
  cases: { tool_calls: ResultCase['tool_calls']; expected?: UpstreamMessage[] }[];
}

async function statefulCases({
  tool: described,
  skipped_args: skipped,
  state,
  schema,
  cases,
}: StatefulFixture): Promise<GoldenCase[]> {
  const env = new Sessions({ name: 'golden', dataset: rows([{ question: '' }]) });
  const { description, args } = readDocstring(
    described.docstring,
    described.parameters.map(({ name }) => name),
  );
  const properties: JsonSchema = Object.fromEntries(
    described.parameters.map(({ name }) => [name, { description: args.get(name), title: titled(name) }]),
  );
  const made = tool<{ v: unknown; session: unknown }>({
    name: described.function,
    description,
    parameters: { type: 'object', properties },
    run: ({ v, session }) => `${pythonText(v)}@${String(session)}`,
  });
  env.addTool(made, skipped);
  const results = [golden(FILE, 'stateful schema', env.toolSchemas().map(wire), schema)];
  for (const [i, { tool_calls: calls, expected }] of cases.entries()) {
    const id = `stateful ${i}`;
    const message = messageOf({ role: 'assistant', content: '', tool_calls: calls });
    const got = (await env.answer(message, state.session)).map(upstreamMessage);
    results.push(
      expected ? golden(FILE, id, got, expected) : (excuse(id, calls, expected) ?? golden(FILE, id, got, expected)),
    );
  }
  return results;
}

/** A tool as it goes to a model. */
function wire(schema: unknown): unknown {
  return { type: 'function', function: schema };
}

export async function toolCases(dir: string): Promise<GoldenCase[]> {
  const fixture = readJsonFile(dir, FILE) as {
    schemas: {
      function: string;
      parameters: Parameter[];
      docstring: string | null;
      expected?: unknown;
      raises?: unknown;
    }[];
    results: ResultCase[];
    stateful: StatefulFixture;
  };
  const cases = fixture.schemas.map(({ function: name, parameters, docstring, expected, raises }) => {
    const id = `schemas ${name}`;
    try {
      return golden(FILE, id, wire(toolOf(name, parameters, docstring).schema), expected);
    } catch (error) {
      // Refused by both: a schema that a strict model cannot be told. Each says so in its own words.
      return { file: FILE, id, ok: raises !== undefined, got: String(error), expected: expected ?? raises };
    }
  });
  for (const test of fixture.results) cases.push(...(await resultCase(test)));
  return [...cases, ...(await statefulCases(fixture.stateful))];
}
