/** @file Reads the text of a model from a Hugging Face folder. */
import { parseJson, readJson } from '../../files';
import type { FileSource } from '../../files';
import type { ModelConfig } from '../../config';
import { CheckpointError } from '../../errors';
import type { ModelText, TextOptions } from '../text';
import { HfChat } from './chat';
import { isObject } from './check';
import { endsOfReply, eosOf, turnEnd } from './stop_tokens';
import { ChatTemplate } from './template';
import { HfTokenizer } from './tokenizer';

const TEMPLATE = 'chat_template.jinja';
const TOKENIZER_CONFIG = 'tokenizer_config.json';

/** What an export takes along, beside tokenizer.json. */
const FILES = [TOKENIZER_CONFIG, TEMPLATE, 'special_tokens_map.json', 'generation_config.json'];

/** Special tokens that templates know by name. */
const NAMES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

type Json = Record<string, unknown>;

/**
 * Reads tokenizer, template and the tokens that end a reply, and checks that they belong to the model and to each other.
 * @param tokenizerFile tokenizer.json, read
 * @throws CheckpointError naming the file and what is wrong with it; TemplateError for a template that renders nothing
 */
export async function loadHuggingFaceText(
  folder: FileSource,
  config: ModelConfig,
  tokenizerFile: { bytes: Uint8Array; json: unknown },
  { variables, now }: TextOptions = {},
): Promise<ModelText> {
  const files = new Map([['tokenizer.json', new Uint8Array(tokenizerFile.bytes)]]);
  for (const file of FILES) {
    const bytes = await folder.read(file);
    if (bytes) files.set(file, new Uint8Array(bytes));
  }
  const object = (file: string): Json => {
    const bytes = files.get(file);
    const json = bytes ? parseJson(bytes, `${folder.name}/${file}`) : {};
    if (!isObject(json)) throw new CheckpointError(`${folder.name}/${file}: not a JSON object`);
    return json;
  };
  const settings = { ...object('special_tokens_map.json'), ...object(TOKENIZER_CONFIG) };
  const generation = object('generation_config.json');
  const model = (await folder.read('config.json')) ? await readJson(folder, 'config.json') : null;
  const named = namedTokens(settings);
  const eos = [
    ...eosOf(generation, 'generation_config.json'),
    ...eosOf(isObject(model) ? model : { eos_token_id: config.eosTokenId }, 'config.json'),
    ...(named.eos_token === undefined ? [] : [{ token: named.eos_token, file: TOKENIZER_CONFIG }]),
  ];
  const tokenizer = new HfTokenizer(tokenizerFile.json, {
    folder: folder.name,
    vocabSize: config.vocabSize,
    special: [...Object.values(named).flat(), ...eos.map(({ token }) => token)],
  });
  const { source, ...texts } = templateOf(files, settings, folder.name);
  const template = new ChatTemplate(texts, { source, variables: named, ...(now && { now }) });
  const end = turnEnd(template, tokenizer, variables);
  const stopTokens = endsOfReply(tokenizer, folder.name, [
    ...(end ? [{ token: end, file: 'the chat template' }] : []),
    ...eos,
  ]);
  const chat = new HfChat({ tokenizer, template, stopTokens, ...(variables && { variables }) });
  return { tokenizer, chat, files: () => new Map(files) };
}

/** Special tokens' texts by name; one is given as its text or as an object that has it. */
function namedTokens(settings: Json): { eos_token?: string } & Record<string, string | string[]> {
  const textOf = (token: unknown): string[] => {
    const text: unknown = isObject(token) ? token.content : token;
    return typeof text === 'string' && text !== '' ? [text] : [];
  };
  const more = settings.additional_special_tokens;
  return {
    ...Object.fromEntries(NAMES.flatMap((name) => textOf(settings[name]).map((text) => [name, text]))),
    ...(Array.isArray(more) && { additional_special_tokens: more.flatMap(textOf) }),
  };
}

/**
 * The template: a file of its own, or in tokenizer_config.json, alone or in a list by names.
 * @throws CheckpointError saying where there is none
 */
function templateOf(
  files: ReadonlyMap<string, Uint8Array>,
  settings: Json,
  folder: string,
): { default: string; tool_use?: string; source: string } {
  const bytes = files.get(TEMPLATE);
  const { chat_template: setting } = settings;
  if (bytes) return { default: decode(bytes, `${folder}/${TEMPLATE}`), source: `${folder}/${TEMPLATE}` };
  const source = `${folder}/${TOKENIZER_CONFIG}`;
  if (typeof setting === 'string') return { default: setting, source };
  if (Array.isArray(setting)) {
    const named = (name: string): unknown =>
      (setting as unknown[]).filter(isObject).find((entry) => entry.name === name)?.template;
    const [whole, tools] = [named('default'), named('tool_use')];
    if (typeof whole !== 'string') throw new CheckpointError(`${source}: chat_template has no template named default`);
    return { default: whole, ...(typeof tools === 'string' && { tool_use: tools }), source };
  }
  if (setting != null) throw new CheckpointError(`${source}: chat_template must be a text or a list of named texts`);
  throw new CheckpointError(
    `${folder}: no chat template, neither ${TEMPLATE} nor chat_template in ${TOKENIZER_CONFIG}: ` +
      'a model to talk with needs one',
  );
}

function decode(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new CheckpointError(`${source} is not UTF-8 text`, { cause: error });
  }
}
