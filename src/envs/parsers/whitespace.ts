/**
 * @file Whitespace as Python sees it, which is what verifiers' parsers strip. JavaScript's trim() and \s differ: they take
 * U+FEFF (Python keeps it) and leave U+001C-U+001F and U+0085 (Python strips them).
 */

/** What `str.isspace` is true of, one UTF-16 unit each. */
const PYTHON_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** True where Python's `str.isspace` is, for one character. */
export function isPythonSpace(character: string): boolean {
  return PYTHON_SPACE.test(character);
}

/** Python's `str.strip()`. */
export function pythonStrip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isPythonSpace(text[start]!)) start++;
  while (end > start && isPythonSpace(text[end - 1]!)) end--;
  return text.slice(start, end);
}
