/** @file What a tokenizer.json must look like before the library gets it: its own complaints name neither file nor key. */
import { CheckpointError } from '../../errors';

/** Kinds of models that the library reads. */
const MODELS = ['BPE', 'Unigram', 'WordLevel', 'WordPiece'];

export interface AddedToken {
  id: number;
  content: string;
  special?: boolean;
  normalized?: boolean;
}

export interface CheckedTokenizer {
  file: Record<string, unknown>;
  added: readonly AddedToken[];
  /** Ids of the model's own tokens, without those that were added. */
  ids: ReadonlyMap<string, number>;
  /** The last id and one. */
  size: number;
}

/**
 * Checks the layout of a tokenizer.json, and that the model has a row for each of its tokens.
 * @throws CheckpointError naming the key
 */
export function checkTokenizer(json: unknown, folder: string, vocabSize: number): CheckedTokenizer {
  const fail = (message: string): never => {
    throw new CheckpointError(`${folder}/tokenizer.json: ${message}`);
  };
  if (!isObject(json)) return fail('not a JSON object');
  const { model, added_tokens: added = [] } = json;
  if (!isObject(model)) return fail('it has no model');
  const { type, vocab, merges } = model;
  if (typeof type !== 'string' || !MODELS.includes(type)) {
    return fail(`a model of type ${JSON.stringify(type)} is not supported; ${MODELS.join(', ')} are`);
  }
  if (type === 'BPE' && !(Array.isArray(merges) && merges.every(isMerge))) {
    return fail('model.merges must be a list of pairs of tokens');
  }
  const entries = type === 'Unigram' ? unigramEntries(vocab) : isObject(vocab) ? Object.entries(vocab) : undefined;
  if (!entries) return fail(type === 'Unigram' ? 'model.vocab must be a list of tokens' : 'it has no model.vocab');
  if (!Array.isArray(added) || !added.every(isAddedToken)) {
    return fail('added_tokens must be a list of tokens with id and content');
  }
  const ids = new Map<string, number>();
  const byId = new Map<number, string>();
  for (const [token, id] of entries) {
    if (!isId(id)) return fail(`token ${JSON.stringify(token)} has id ${JSON.stringify(id)}`);
    if (byId.has(id)) return fail(`tokens ${JSON.stringify(byId.get(id))} and ${JSON.stringify(token)} have id ${id}`);
    ids.set(token, id);
    byId.set(id, token);
  }
  let size = 0;
  for (const id of byId.keys()) size = Math.max(size, id + 1);
  for (const { id } of added) size = Math.max(size, id + 1);
  if (size > vocabSize) {
    throw new CheckpointError(`${folder}: tokenizer.json has ${size} tokens, config.json says vocab_size ${vocabSize}`);
  }
  return {
    file: { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, ...json },
    added,
    ids,
    size,
  };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

/** `["a", "b"]`, or `"a b"` in older files. */
function isMerge(merge: unknown): boolean {
  if (typeof merge === 'string') return merge.includes(' ');
  return Array.isArray(merge) && merge.length === 2 && merge.every((token) => typeof token === 'string');
}

/** Tokens with their scores, in the order of their ids. */
function unigramEntries(vocab: unknown): [string, unknown][] | undefined {
  if (!Array.isArray(vocab)) return undefined;
  const tokens = vocab.map((entry: unknown) => (Array.isArray(entry) ? (entry as unknown[])[0] : undefined));
  return tokens.every((token) => typeof token === 'string') ? tokens.map((token, id) => [token, id]) : undefined;
}

function isAddedToken(token: unknown): token is AddedToken {
  return isObject(token) && isId(token.id) && typeof token.content === 'string' && token.content !== '';
}
