/** @file Taking values out of JSON that somebody else wrote: what is missing or of another kind is empty. */
import type { Span } from '../trace';

export type Json = Record<string, unknown>;

/** JSON, or Python's idea of it: its bare NaN and Infinity become null. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const valid = text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (part) =>
      part.startsWith('"') ? part : 'null',
    );
    if (valid === text) throw error;
    return JSON.parse(valid);
  }
}

export function spanIn(value: unknown): Span {
  const { start, end } = objectIn(value);
  return { start: numberIn(start) ?? 0, end: numberIn(end) ?? 0 };
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectIn(value: unknown): Json {
  return isObject(value) ? value : {};
}

export function listIn<T>(value: unknown): T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

export function textIn(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

export function numberIn(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function numbersIn(value: unknown): Record<string, number> {
  return Object.fromEntries(
    Object.entries(objectIn(value)).flatMap(([name, item]) => {
      const number = numberIn(item);
      return number === undefined ? [] : [[name, number]];
    }),
  );
}
