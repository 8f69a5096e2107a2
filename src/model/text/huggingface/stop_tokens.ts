/** @file Which tokens end a reply: what the files say, and what the template closes a reply with. */
import { MAX_STOP_TOKENS } from '../../../kernels';
import { CheckpointError, TemplateError } from '../../errors';
import type { ChatTemplate } from './template';
import type { HfTokenizer } from './tokenizer';

/** A token by its id or its text, and the file that says it. */
export interface NamedToken {
  token: number | string;
  file: string;
}

/** `eos_token_id` of a configuration: one id, a list of them, or none. */
export function eosOf({ eos_token_id: ids }: Record<string, unknown>, file: string): { token: number; file: string }[] {
  return [ids].flat().flatMap((token) => (typeof token === 'number' ? [{ token, file }] : []));
}

const QUESTION = { role: 'user', content: 'a' };

/**
 * The special token that a template closes a reply with; undefined where it closes with none.
 * @throws TemplateError where the template renders no conversation at all
 */
export function turnEnd(
  template: ChatTemplate,
  tokenizer: HfTokenizer,
  variables: Record<string, unknown> = {},
): string | undefined {
  const { marker } = tokenizer.disguise(JSON.stringify(template.texts));
  const reply = { role: 'assistant', content: marker };
  const render = (messages: readonly unknown[]) => template.render({ ...variables, messages });
  let text: string;
  try {
    text = render([QUESTION, reply]);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    try {
      text = render([{ role: 'system', content: 'a' }, QUESTION, reply]); // some templates insist on one
    } catch {
      throw error;
    }
  }
  const rest = text.slice(text.lastIndexOf(marker) + 1);
  let first: { at: number; token: string } | undefined;
  for (const token of tokenizer.special.keys()) {
    const at = rest.indexOf(token);
    if (at >= 0 && (!first || at < first.at || (at === first.at && token.length > first.token.length))) {
      first = { at, token };
    }
  }
  return first?.token;
}

/**
 * Ids of the tokens that end a reply, each once.
 * @throws CheckpointError where one is not in the vocabulary, where there is none, or more than a sampler can look for
 */
export function endsOfReply(tokenizer: HfTokenizer, folder: string, tokens: readonly NamedToken[]): number[] {
  const ids = tokens.map(({ token, file }) => {
    const id = typeof token === 'string' ? tokenizer.id(token) : token;
    if (id !== undefined && tokenizer.tokens[id]) return id;
    throw new CheckpointError(
      `${folder}/${file}: ${JSON.stringify(token)} ends a reply, and is no token of tokenizer.json`,
    );
  });
  const stops = [...new Set(ids)];
  if (stops.length > MAX_STOP_TOKENS) {
    const files = [...new Set(tokens.map(({ file }) => file))].join(', ');
    throw new CheckpointError(
      `${folder}: ${stops.length} tokens end a reply (${stops.map((id) => tokenizer.tokens[id]).join(', ')}; of ${files}); ` +
        `at most ${MAX_STOP_TOKENS} can`,
    );
  }
  if (stops.length === 0) {
    throw new CheckpointError(
      `${folder}: no token ends a reply: no eos_token_id in generation_config.json and config.json, no eos_token in ` +
        'tokenizer_config.json, and the chat template closes replies with no special token',
    );
  }
  return stops;
}
