/** @file Which hub the page asks. */
import { DEFAULT_ENDPOINT } from '../../../src/model';

/** The hub that the page's address names (`?hub=http://localhost:8080`), or the usual one. */
export function hubOf(search: string): string {
  const named = new URLSearchParams(search).get('hub') ?? '';
  return named === '' ? DEFAULT_ENDPOINT : named.replace(/\/+$/, '');
}
