/** @file How a model of a hub is named: `owner/name`, `owner/name@revision`, or the address of its page. */
import { HubError } from './errors';

/** The hub where nothing else is said. */
export const DEFAULT_ENDPOINT = 'https://huggingface.co';

/** Before the name of a hub's model where a folder could be named as well. */
export const HUB_PREFIX = 'hf:';

/** The branch where no revision is named. */
export const DEFAULT_REVISION = 'main';

export interface ModelAddress {
  /** `owner/name` */
  id: string;
  /** A branch, a tag or a commit; `main` where none was named. */
  revision: string;
}

/** Other addresses of the default hub. */
const ALIASES = ['https://hf.co', 'https://www.huggingface.co'];

/** A part of a model's name as the hub allows it. */
const PART = /^(?!.*(--|\.\.))[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?$/;

/** A branch, a tag (both may have slashes) or a commit. */
const REVISION = /^(?!.*\.\.)[\w][\w./+-]*$/;

/**
 * Reads `owner/name`, `owner/name@revision`, either after `hf:`, or an address as a browser shows it
 * (`https://huggingface.co/owner/name/tree/revision`).
 * @param endpoint the hub that addresses must be of: a token goes nowhere else
 * @throws HubError (ModelAddressError)
 */
export function parseModelAddress(text: string, endpoint = DEFAULT_ENDPOINT): ModelAddress {
  const fail = (why: string): never => {
    throw new HubError('ModelAddressError', `${JSON.stringify(text)} is no model of ${endpoint}: ${why}`);
  };
  const trimmed = text.trim();
  const bare = trimmed.startsWith(HUB_PREFIX) ? trimmed.slice(HUB_PREFIX.length) : trimmed;
  const url = /^https?:\/\//.test(bare)
    ? bare
    : /^(www\.)?(huggingface\.co|hf\.co)\//.test(bare)
      ? `https://${bare}`
      : '';
  const [path, revision] = url ? fromUrl(url, endpoint, fail) : splitAt(bare);
  const parts = path.split('/');
  if (parts.length !== 2) fail('a model is named owner/name');
  const wrong = parts.find((part) => !PART.test(part));
  if (wrong !== undefined) fail(`${JSON.stringify(wrong)} cannot be part of a name`);
  if (revision !== undefined && !REVISION.test(revision)) fail(`${JSON.stringify(revision)} cannot be a revision`);
  return { id: path, revision: revision ?? DEFAULT_REVISION };
}

function splitAt(text: string): [path: string, revision: string | undefined] {
  const at = text.indexOf('@');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function fromUrl(
  text: string,
  endpoint: string,
  fail: (why: string) => never,
): [path: string, revision: string | undefined] {
  if (!URL.canParse(text)) fail('it is no address');
  const url = new URL(text);
  const base = new URL(endpoint);
  const isAlias = endpoint === DEFAULT_ENDPOINT && ALIASES.includes(url.origin);
  const folder = base.pathname.replace(/\/$/, '');
  if ((url.origin !== base.origin && !isAlias) || !url.pathname.startsWith(`${folder}/`)) fail('it is of another site');
  const parts = url.pathname
    .slice(folder.length + 1)
    .split('/')
    .filter(Boolean);
  if (parts[0] === 'datasets' || parts[0] === 'spaces') fail(`it is of the hub's ${parts[0]}`);
  const [owner = '', name = '', view, ...rest] = parts;
  if (view === undefined) return [[owner, name].filter(Boolean).join('/'), undefined];
  if (view === 'tree') return [`${owner}/${name}`, rest.length > 0 ? decoded(rest.join('/'), fail) : undefined];
  // `blob/revision/file` and `resolve/revision/file`: slashes in a revision are escaped there.
  if (view === 'blob' || view === 'resolve') return [`${owner}/${name}`, decoded(rest[0] ?? '', fail)];
  return fail(`its page ${JSON.stringify(view)} says nothing of a revision`);
}

function decoded(text: string, fail: (why: string) => never): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return fail('it is no address');
  }
}
