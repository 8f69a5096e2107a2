/** @file Tool calls as JSON objects: reading them with what was wrong, and writing them as Python's json does. */

/** A call read from JSON. */
export interface JsonCall {
  name: string;
  /** JSON text of the arguments object. */
  args: string;
  /** Why there is no call to run. */
  problem?: string;
  /** What had to be understood generously. */
  repairs: string[];
}

/**
 * Reads `{"name": ..., "arguments": {...}}`.
 * @param argumentsKey what this family calls its arguments; the other families' word is understood and noted
 */
export function callOf(text: string, argumentsKey: 'arguments' | 'parameters'): JsonCall {
  const repairs: string[] = [];
  const bad = (problem: string, name = ''): JsonCall => ({ name, args: '{}', problem, repairs });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return bad(`the call is not JSON: ${(error as SyntaxError).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return bad('the call is not a JSON object');
  const call = value as Record<string, unknown>;
  const { name } = call;
  if (typeof name !== 'string' || name === '') return bad('the call names no tool');
  const otherKey = argumentsKey === 'arguments' ? 'parameters' : 'arguments';
  let args = call[argumentsKey];
  if (args === undefined && call[otherKey] !== undefined) {
    args = call[otherKey];
    repairs.push(`"${otherKey}" instead of "${argumentsKey}"`);
  }
  if (args === undefined || args === null) {
    args = {};
    repairs.push(`no "${argumentsKey}"`);
  }
  if (typeof args === 'string') {
    try {
      args = JSON.parse(args);
      repairs.push(`"${argumentsKey}" is text instead of an object`);
    } catch {
      return bad(`"${argumentsKey}" is text that is not JSON`, name);
    }
  }
  if (typeof args !== 'object' || args === null || Array.isArray(args)) {
    return bad(`"${argumentsKey}" is not an object`, name);
  }
  return { name, args: JSON.stringify(args), repairs };
}

/** Where the JSON object that begins at `from` ends: after its closing brace, or with the text. */
export function objectEnd(text: string, from: number): number {
  let depth = 0;
  let quoted = false;
  for (let i = from; i < text.length; i++) {
    const character = text[i];
    if (quoted) {
      if (character === '\\') i++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) return i + 1;
  }
  return text.length;
}

/** JSON with a space after every comma and colon, as models have seen it from Python. */
export function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}: ${spacedJson(item)}`).join(', ')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
