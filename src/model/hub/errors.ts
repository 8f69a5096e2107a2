/** @file What can go wrong with a hub, each as one error whose message names the model and the file. */

export type HubErrorName =
  /** What was typed names no model of this hub. */
  | 'ModelAddressError'
  /** 401, 403: a token is needed, or the one given may not. */
  | 'HubAccessError'
  /** 404: the model, the revision or the file. */
  | 'HubNotFoundError'
  /** Nothing answers, the connection broke again and again, or the hub is busy. */
  | 'HubConnectionError'
  /** An answer that no hub gives. */
  | 'HubAnswerError'
  /** The bytes that came are not those that the hub lists. */
  | 'DamagedDownloadError';

export class HubError extends Error {
  constructor(
    override readonly name: HubErrorName,
    message: string,
    /** HTTP status, where there was an answer. */
    readonly status?: number,
  ) {
    super(message);
  }
}

/** What a request was for. */
export interface Wanted {
  /** `owner/name` */
  id: string;
  revision: string;
  /** A file of it, where one was asked for. */
  file?: string | undefined;
}

/** The error of an answer that refuses. Codes and messages are those of Hugging Face's hub; a mirror may have none. */
export function refusal(response: Response, wanted: Wanted, endpoint: string, hasToken: boolean): HubError {
  const { status, headers } = response;
  const { id, revision, file } = wanted;
  const code = headers.get('x-error-code');
  const said = headers.get('x-error-message');
  const what = file === undefined ? id : `${file} of ${id}`;
  const reason = said ? ` (${said})` : '';
  if (status === 401 && !hasToken) {
    const needed = `${endpoint} gives ${what} to nobody without a token: it is private or gated, or there is no such model`;
    return new HubError('HubAccessError', `${needed}${reason}`, status);
  }
  if (status === 401) return new HubError('HubAccessError', `${endpoint} does not accept the token${reason}`, status);
  if (status === 403) {
    const denied = hasToken ? 'the token may not read it' : 'a token is needed';
    const gated = code === 'GatedRepo' ? `; its owner grants access at ${endpoint}/${id}` : '';
    return new HubError('HubAccessError', `${endpoint} denies ${what}: ${denied}${gated}${reason}`, status);
  }
  if (status === 404) {
    const missing =
      code === 'RevisionNotFound'
        ? `${id} has no revision ${revision}`
        : file !== undefined && code !== 'RepoNotFound'
          ? `${id} has no file ${file} in revision ${revision}`
          : `there is no model ${id} with a revision ${revision}`;
    return new HubError('HubNotFoundError', `${endpoint}: ${missing}`, status);
  }
  return new HubError('HubAnswerError', `${endpoint} answers ${status} when asked for ${what}${reason}`, status);
}
