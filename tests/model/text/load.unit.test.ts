/** @file Folders with a tokenizer and a chat template of their own: what is read, what is refused and in which words. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CheckpointError, TemplateError, loadText } from '../../../src/model';
import type { Message } from '../../../src/envs';
import { CHATML, FIXTURES, ROWS, templateChat, textChat, textFolder } from '../../checks/text_folder';
import { TINY } from '../../checks/generation';

type Changes = NonNullable<Parameters<typeof textFolder>[1]>;

const FOLDER = join(FIXTURES, 'tokenizers', 'smollm-like');
const json = JSON.parse(readFileSync(join(FOLDER, 'tokenizer.json'), 'utf8')) as {
  added_tokens: Record<string, unknown>[];
  model: { vocab: Record<string, number>; merges: unknown[] };
};
const { model, added_tokens: added } = json;
const withModel = (changes: Record<string, unknown>) => ({ 'tokenizer.json': { model: { ...model, ...changes } } });
const load = (changes: Changes, vocabSize = ROWS) =>
  loadText(textFolder('smollm-like', changes), { ...TINY, vocabSize });

it.each<[string, Changes, string]>([
  ['no tokenizer.json', { 'tokenizer.json': null }, 'm: tokenizer.json is missing'],
  ['a tokenizer.json that was cut', { 'tokenizer.json': '{"model": {' }, 'm/tokenizer.json is not JSON: '],
  [
    'a tokenizer.json that is no text',
    { 'tokenizer.json': Uint8Array.of(0xff, 0xfe) },
    'm/tokenizer.json is not JSON: ',
  ],
  ['a list for a tokenizer', { 'tokenizer.json': '[]' }, 'm/tokenizer.json: not a JSON object'],
  ['no model in it', { 'tokenizer.json': { model: null } }, 'm/tokenizer.json: it has no model'],
  [
    'a model of another kind',
    withModel({ type: 'SentencePiece' }),
    'm/tokenizer.json: a model of type "SentencePiece" is not supported; BPE, Unigram, WordLevel, WordPiece are',
  ],
  ['no vocabulary', withModel({ vocab: null }), 'm/tokenizer.json: it has no model.vocab'],
  [
    'a list for the vocabulary of a Unigram model',
    withModel({ type: 'Unigram' }),
    'm/tokenizer.json: model.vocab must be a list of tokens',
  ],
  ['merges that are no pairs', withModel({ merges: ['ab'] }), 'm/tokenizer.json: model.merges must be a list of pairs'],
  ['an id that is none', withModel({ vocab: { a: 1.5 } }), 'm/tokenizer.json: token "a" has id 1.5'],
  ['two tokens of one id', withModel({ vocab: { a: 7, b: 7 } }), 'm/tokenizer.json: tokens "a" and "b" have id 7'],
  [
    'an id beyond the model',
    withModel({ vocab: { ...model.vocab, zz: 4_000_000_000 } }),
    'm: tokenizer.json has 4000000001 tokens, config.json says vocab_size 704',
  ],
  [
    'added tokens without content',
    { 'tokenizer.json': { added_tokens: [{ id: 1 }] } },
    'm/tokenizer.json: added_tokens must be a list of tokens with id and content',
  ],
  [
    'a pre-tokenizer that is not known',
    { 'tokenizer.json': { pre_tokenizer: { type: 'Nothing' } } },
    'm/tokenizer.json: Unknown PreTokenizer type: Nothing',
  ],
  [
    'a tokenizer_config.json that is a list',
    { 'tokenizer_config.json': '[1]' },
    'm/tokenizer_config.json: not a JSON object',
  ],
  ['a tokenizer_config.json that was cut', { 'tokenizer_config.json': '{' }, 'm/tokenizer_config.json is not JSON: '],
  [
    'a generation_config.json that is text',
    { 'generation_config.json': '"a"' },
    'm/generation_config.json: not a JSON object',
  ],
  [
    'no template',
    { 'tokenizer_config.json': { chat_template: null } },
    'm: no chat template, neither chat_template.jinja nor chat_template in tokenizer_config.json',
  ],
  [
    'a template that is a number',
    { 'tokenizer_config.json': { chat_template: 3 } },
    'm/tokenizer_config.json: chat_template must be a text or a list of named texts',
  ],
  [
    'templates without a default',
    { 'tokenizer_config.json': { chat_template: [{ name: 'rag', template: 'x' }] } },
    'm/tokenizer_config.json: chat_template has no template named default',
  ],
  [
    'a template that is no text',
    { 'chat_template.jinja': Uint8Array.of(0xff) },
    'm/chat_template.jinja is not UTF-8 text',
  ],
  [
    'a template that is no Jinja',
    { 'chat_template.jinja': '{% for m in messages %}' },
    'm/chat_template.jinja: the chat template is not Jinja: ',
  ],
  [
    'a template that renders nothing',
    { 'chat_template.jinja': '{{ messages | sparkle }}' },
    'm/chat_template.jinja: the chat template fails to render: Unknown ArrayValue filter: sparkle',
  ],
  [
    'a template that refuses everything',
    { 'chat_template.jinja': "{{ raise_exception('not for ' ~ messages[0].role) }}" },
    'm/chat_template.jinja: the chat template refuses this conversation: not for user',
  ],
  [
    'a template that never ends',
    { 'chat_template.jinja': '{% for i in range(1000000000) %}x{% endfor %}' },
    'm/chat_template.jinja: the chat template fails to render: range of 1000000000; at most 100000 are possible',
  ],
  [
    'an end of reply that is no token',
    { 'tokenizer_config.json': { eos_token: '</s>' } },
    'm/tokenizer_config.json: "</s>" ends a reply, and is no token of tokenizer.json',
  ],
  [
    'an end of reply beyond the tokens',
    { 'generation_config.json': { eos_token_id: [2, 700] } },
    'm/generation_config.json: 700 ends a reply, and is no token of tokenizer.json',
  ],
  [
    'five ends of a reply',
    { 'generation_config.json': { eos_token_id: [2, 3, 4, 5, 6] } },
    'm: 5 tokens end a reply (<|im_end|>, !, ", #, $; of the chat template, generation_config.json, tokenizer_config.json); at most 4 can',
  ],
  [
    'no end of a reply',
    {
      'tokenizer_config.json': { eos_token: null },
      'chat_template.jinja': '{% for m in messages %}{{ m.content }}{% endfor %}',
    },
    'm: no token ends a reply: no eos_token_id in generation_config.json and config.json, no eos_token in ' +
      'tokenizer_config.json, and the chat template closes replies with no special token',
  ],
])('%s: one error that says where', async (_, changes, message) => {
  const loading = load(changes);
  await expect(loading).rejects.toThrow(/^m[:/ ]/);
  await expect(loading).rejects.toThrow(message);
  const error: unknown = await loading.catch((reason: unknown) => reason);
  expect(error instanceof CheckpointError || error instanceof TemplateError).toBe(true);
});

it('a model may have more rows than tokens, and never fewer', async () => {
  const { tokenizer } = await load({}, 1000);
  expect(tokenizer.vocabSize).toBe(689);
  expect(tokenizer.tokens).toHaveLength(689);
  expect(tokenizer.decode([700, 999])).toBe(''); // rows without a token say nothing
  await expect(load({}, 688)).rejects.toThrow('m: tokenizer.json has 689 tokens, config.json says vocab_size 688');
});

it('tokens by id, with holes where no token is', async () => {
  const { tokenizer } = await load({ 'tokenizer.json': { added_tokens: [...added, { id: 700, content: '<x>' }] } });
  expect(tokenizer.tokens[2]).toBe('<|im_end|>');
  expect(tokenizer.tokens.slice(688, 701)).toEqual(['</think>', ...Array<string>(11).fill(''), '<x>']);
});

it('an export writes the files as they were read, byte for byte', async () => {
  const changes = {
    'chat_template.jinja': `${CHATML}\r\n\n`,
    'special_tokens_map.json': '{ "eos_token" :"<|im_end|>"}',
    'generation_config.json': '{"eos_token_id":\t[2]}  ',
  };
  const folder = textFolder('smollm-like', changes);
  const text = await loadText(folder, { ...TINY, vocabSize: ROWS });
  const files = text.files();
  expect([...files.keys()].sort()).toEqual([...Object.keys(changes), 'tokenizer.json', 'tokenizer_config.json'].sort());
  for (const [file, bytes] of files) expect(bytes).toEqual(await folder.read(file));
  files.get('tokenizer.json')!; // and what a caller does with the map is its own business
  files.clear();
  expect(text.files().size).toBe(5);
  const again = await loadText(
    { name: 'again', read: (file) => Promise.resolve(text.files().get(file)) },
    { ...TINY, vocabSize: ROWS },
  );
  const messages: Message[] = [{ role: 'user', content: 'hi' }];
  expect(again.chat.render(messages)).toEqual(text.chat.render(messages));
});

it('what ends a reply: the template, then generation_config, config and tokenizer_config, each token once', async () => {
  const stops = async (changes: Changes) => (await textChat('smollm-like', changes)).stopTokens;
  expect(await stops({})).toEqual([2]);
  expect(await stops({ 'generation_config.json': { eos_token_id: [0, 2] } })).toEqual([2, 0]);
  expect(
    await stops({ 'generation_config.json': { eos_token_id: 5 }, 'config.json': '{"eos_token_id": [6, 5]}' }),
  ).toEqual([2, 5, 6]);
  // Llama 3's eos is not what its turns end with.
  expect(await stops({ 'tokenizer_config.json': { eos_token: { content: '<|endoftext|>' } } })).toEqual([2, 0]);
  const open = CHATML.replace('<|im_end|>\n{% endfor %}', '\n{% endfor %}');
  expect(await stops({ 'chat_template.jinja': open, 'tokenizer_config.json': { eos_token: 'a' } })).toEqual([67]);
  // In the vocabulary but not among the added tokens: a special token all the same.
  const chat = await textChat('smollm-like', { 'tokenizer_config.json': { eos_token: 'a' } });
  expect(chat.tokenizer.decode([66, 67, 68])).toBe('`b');
});

it('chat_template.jinja goes before tokenizer_config.json; tool_use is for conversations with tools', async () => {
  const messages: Message[] = [{ role: 'user', content: 'q' }];
  const tools = [{ name: 'f', description: '', parameters: {} }];
  const say = (word: string) => `${word}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}`;
  const list = [
    { name: 'default', template: say('plain') },
    { name: 'tool_use', template: say('tools') },
  ];
  const named = await textChat('smollm-like', { 'tokenizer_config.json': { chat_template: list } });
  const text = (chat: typeof named, more = {}) => chat.tokenizer.decodeWhole(chat.render(messages, more));
  expect(text(named)).toBe('plainq<|im_end|>');
  expect(text(named, { tools })).toBe('toolsq<|im_end|>');
  const file = await textChat('smollm-like', {
    'tokenizer_config.json': { chat_template: list },
    'chat_template.jinja': say('file'),
  });
  expect(text(file, { tools })).toBe('fileq<|im_end|>');
});

it('templates have the globals of transformers: special tokens, a date, JSON, and Python strings', async () => {
  const show = async (expression: string, content = '') => {
    const chat = await templateChat(`${expression}{% for m in messages %}<|im_end|>{% endfor %}`, 'llama3-like', {
      now: () => new Date(2026, 0, 5, 15, 4),
      variables: { enable_thinking: false },
    });
    const ids = chat.render([{ role: 'user', content }], { tools: [{ name: 'é', description: '<', parameters: {} }] });
    return chat.tokenizer.decodeWhole(ids.slice(0, -1));
  };
  expect(await show('{{ bos_token }}|{{ eos_token }}|{{ pad_token }}')).toBe(
    '<|begin_of_text|>|<|im_end|>|<|endoftext|>',
  );
  expect(await show('{{ strftime_now("%d %b %Y %A %B %-d %j %I:%M %p %y%%") }}')).toBe(
    '05 Jan 2026 Monday January 5 005 03:04 PM 26%',
  );
  expect(await show('{{ tools | tojson }}')).toBe(
    '[{"type": "function", "function": {"name": "é", "description": "<", "parameters": {}}}]',
  );
  expect(await show('{{ documents is none }} {{ enable_thinking }} {{ nothing is defined }}')).toBe('true false false');
  expect(await show('{{ messages[0].content.lstrip("\n") }}|', '\n\n  a ')).toBe('  a |');
  expect(await show('{{ messages[0].content.strip("ab") }}|', 'abcab')).toBe('c|');
  expect(await show('{{ messages[0].content | trim }}|{{ messages[0].content.rstrip() }}|', '\uFEFF a\x1f\x85 ')).toBe(
    '\uFEFF a|\uFEFF a|',
  );
  await expect(show('{{ strftime_now("%Q") }}')).rejects.toThrow(
    'm/chat_template.jinja: the chat template fails to render: strftime_now: the code %Q is not known',
  );
});

it('a conversation that the template refuses is one error, in its own words', async () => {
  const chat = await templateChat(
    `{% if messages | length > 2 %}{{ raise_exception('too long') }}{% endif %}${CHATML}`,
  );
  const messages: Message[] = ['a', 'b', 'c'].map((content) => ({ role: 'user', content }));
  expect(() => chat.render(messages)).toThrow(TemplateError);
  expect(() => chat.render(messages)).toThrow(
    'm/chat_template.jinja: the chat template refuses this conversation: too long',
  );
});

it('replies are read as the template writes calls, else as the vocabulary knows them', async () => {
  const tools = [{ name: 'f', description: '', parameters: {} }];
  const hermes = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>';
  const llama = '{"name": "f", "parameters": {}}';
  const calls = async (template: string, text: string) => {
    const chat = await templateChat(template);
    return chat.parse([...chat.tokenizer.encode(text), chat.stopTokens[0]!], { tools }).toolCalls?.length ?? 0;
  };
  const plain = '{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}';
  expect(await calls(CHATML, hermes)).toBe(1);
  expect(await calls(plain, hermes)).toBe(1); // <tool_call> is a token
  expect(await calls(plain, llama)).toBe(0);
  expect(await calls(`{# ipython #}${plain}{{ 'ipython' if false }}`, llama)).toBe(1);
});

const FLAT = { added_tokens: [], normalizer: null, post_processor: null };
const SPLIT = { pre_tokenizer: { type: 'WhitespaceSplit' }, decoder: null };
const SPM = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' };

it.each<[string, Record<string, unknown>, string, number[]]>([
  [
    'Unigram',
    {
      pre_tokenizer: SPM,
      decoder: SPM,
      model: {
        type: 'Unigram',
        unk_id: 0,
        vocab: [
          ['<unk>', 0],
          ['▁', -2],
          ['▁ab', -1],
          ['a', -3],
          ['b', -3],
          ['</s>', 0],
        ],
      },
    },
    'ab ac',
    [2, 1, 3, 0],
  ],
  [
    'WordPiece',
    {
      ...SPLIT,
      model: {
        type: 'WordPiece',
        unk_token: '<unk>',
        continuing_subword_prefix: '##',
        vocab: { '<unk>': 0, ab: 1, '##c': 2, '</s>': 3 },
      },
    },
    'abc ab x',
    [1, 2, 1, 0],
  ],
  [
    'WordLevel',
    { ...SPLIT, model: { type: 'WordLevel', unk_token: '<unk>', vocab: { '<unk>': 0, a: 1, b: 2, '</s>': 3 } } },
    'b a x',
    [2, 1, 0],
  ],
])('%s tokenizers are read as well, and say what they cannot', async (_, file, text, ids) => {
  const chat = await textChat('smollm-like', {
    'tokenizer.json': { ...FLAT, ...file },
    'tokenizer_config.json': {
      eos_token: '</s>',
      pad_token: null,
      unk_token: '<unk>',
      chat_template: '{% for m in messages %}{{ m.content }}</s>{% endfor %}',
    },
  });
  const { tokenizer } = chat;
  expect(tokenizer.encode(text)).toEqual(ids);
  const end = tokenizer.id('</s>')!;
  expect(tokenizer.encodeRendered(`${text}</s>`)).toEqual([...ids, end]);
  expect(chat.stopTokens).toEqual([end]);
});

it('what byte-pair encoding would leave out is an error, and so is a word that is a special token', async () => {
  const vocab = { a: 0, b: 1, ab: 2, '</s>': 3 };
  const load = async (model: Record<string, unknown>, more: Record<string, unknown> = SPLIT) =>
    textChat('smollm-like', {
      'tokenizer.json': { ...FLAT, ...more, model: { type: 'BPE', vocab, merges: [['a', 'b']], ...model } },
      'tokenizer_config.json': {
        eos_token: '</s>',
        pad_token: null,
        chat_template: '{% for m in messages %}{{ m.content }}</s>{% endfor %}',
      },
    });
  const { tokenizer } = await load({});
  expect(tokenizer.encode('abba')).toEqual([2, 1, 0]);
  expect(() => tokenizer.encode('ab abc')).toThrow(`"c" of "abc" is not in this model's vocabulary`);
  const words = await load({ type: 'WordLevel' });
  expect(() => words.tokenizer.encode('a c')).toThrow(`"c" is not in this model's vocabulary`);
  expect(() => words.tokenizer.encode('a </s>')).toThrow('this model cannot tell the text </s> from its special token');
  const messages: Message[] = [{ role: 'user', content: 'a </s>' }];
  expect(() => words.render(messages)).toThrow('this model cannot tell the text </s> from its special token');
});
