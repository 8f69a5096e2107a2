/**
 * @file Python's strip, lstrip and rstrip, and Jinja's trim, for templates. The library's own take no characters to strip
 * (`.lstrip('\n')` also takes the spaces of a reply that begins with them) and go by JavaScript's white space, which is
 * not Python's: U+FEFF is in the one, U+0085 and the separators U+001C to U+001F in the other.
 */
const WHITE_SPACE = '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000'.concat(
  ...Array.from({ length: 11 }, (_, i) => String.fromCharCode(0x2000 + i)),
);

/** Sides that a method strips: start, end. */
const METHODS: Record<string, readonly [boolean, boolean]> = {
  strip: [true, true],
  lstrip: [true, false],
  rstrip: [false, true],
};

const PREFIX = 'python_';

/** A node of a parsed template. */
type Node = Record<string, unknown> & { type: string };

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

/** The functions that a template calls once it was changed by `callPythonStrings`, by name. */
export const PYTHON_STRINGS: Record<string, (text: unknown, characters?: unknown) => string> = {
  ...Object.fromEntries(
    Object.entries(METHODS).map(([name, [start, end]]) => [
      PREFIX + name,
      (text: unknown, characters?: unknown) => strip(text, characters, { start, end, name }),
    ]),
  ),
  [`${PREFIX}trim`]: (text, characters) =>
    strip(text === null ? 'None' : (text ?? ''), characters, { start: true, end: true, name: 'trim' }),
};

/**
 * Changes a parsed template in place: `text.lstrip(x)` calls `python_lstrip(text, x)`, and `text | trim` calls
 * `python_trim(text)`.
 */
export function callPythonStrings(tree: unknown): void {
  if (Array.isArray(tree)) for (const item of tree) callPythonStrings(item);
  else if (tree instanceof Map) callPythonStrings([...tree.entries()]);
  else if (isNode(tree)) {
    for (const child of Object.values(tree)) callPythonStrings(child);
    const { callee, filter } = tree;
    if (tree.type === 'CallExpression' && isNode(callee) && callee.type === 'MemberExpression' && !callee.computed) {
      const { object, property } = callee;
      if (isNode(property) && Object.hasOwn(METHODS, property.value as string)) {
        property.value = `${PREFIX}${property.value as string}`;
        Object.assign(tree, { callee: property, args: [object, ...(tree.args as unknown[])] });
      }
    } else if (tree.type === 'FilterExpression' && isNode(filter)) {
      const called = filter.type === 'CallExpression';
      const name = called ? filter.callee : filter;
      if (!isNode(name) || name.value !== 'trim') return;
      name.value = `${PREFIX}trim`;
      const args = [tree.operand, ...(called ? (filter.args as unknown[]) : [])];
      Object.assign(tree, { type: 'CallExpression', callee: name, args });
    }
  }
}

/** @param characters to strip, as a set; white space where it is none */
function strip(text: unknown, characters: unknown, side: { start: boolean; end: boolean; name: string }): string {
  if (typeof text !== 'string') throw new TypeError(`${side.name} of something that is not text`);
  if (characters != null && typeof characters !== 'string') throw new TypeError(`${side.name} of no text`);
  const set = new Set(characters ?? WHITE_SPACE);
  const points = [...text];
  let start = 0;
  let end = points.length;
  if (side.start) while (start < end && set.has(points[start]!)) start++;
  if (side.end) while (end > start && set.has(points[end - 1]!)) end--;
  return points.slice(start, end).join('');
}
