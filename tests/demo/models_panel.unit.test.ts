/** @file What the page makes of models and tokens before and after the worker has to do with them. */
import { zipSync } from 'fflate';
import { expect, it } from 'vitest';
import { modelChoices, valueOf } from '../../demo/panels/playground/choices';
import { named } from '../../demo/panels/playground/token_name';
import { hubOf } from '../../demo/panels/models/hub';
import { chosenFiles } from '../../demo/panels/models/dropped';
import { tokenText } from '../../demo/panels/token_text';
import { isModel, withEnvironment, withMethod, withStart } from '../../demo/start_model';
import { zipFolder } from '../../demo/worker/models/zip_folder';
import { openFile } from '../../src/model';
import { LORA_DEFAULTS, resolveConfig } from '../../src/rl';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (content: string) => new TextEncoder().encode(content);
const long = 'weights '.repeat(20_000);

it('a .zip is a folder: what was stored is read where it lies, what was packed is unpacked', async () => {
  const zip = zipSync({
    'mine/config.json': [bytesOf('{"a": 1}'), { level: 9 }],
    'mine/model.safetensors': [bytesOf(long), { level: 0 }],
    'mine/packed.safetensors': [bytesOf(long), { level: 6 }],
    'mine/checkpoints/other.json': bytesOf('deeper'),
  });
  const { folder, files } = await zipFolder(new Blob([zip]), 'x.zip');
  expect(folder.name).toBe('mine');
  expect(files).toEqual(['config.json', 'model.safetensors', 'packed.safetensors']);
  expect(text((await folder.read('config.json'))!)).toBe('{"a": 1}');
  expect(await folder.read('other.json')).toBeUndefined();
  for (const name of ['model.safetensors', 'packed.safetensors']) {
    const file = (await openFile(folder, name))!;
    expect(file.size).toBe(long.length);
    expect(text(await file.read(8, 16))).toBe('weights ');
  }
  const flat = await zipFolder(new Blob([zipSync({ 'config.json': bytesOf('{}') })]), 'flat.zip');
  expect(flat.folder.name).toBe('flat');
});

it.each([
  ['nothing', () => new Uint8Array(), 'x.zip is not a .zip that can be read'],
  ['other bytes', () => new Uint8Array(5000).fill(7), 'x.zip is not a .zip that can be read'],
  [
    'a directory that is cut',
    () => broken((zip) => zip.fill(0, zip.length - 81, zip.length - 77)),
    'is not a .zip that can be read',
  ],
  [
    'a file that is not where it is said to be',
    () => broken((zip) => zip.fill(0, 0, 4)),
    'x.zip: m/config.json is cut or damaged',
  ],
  ['packed bytes that are none', () => broken((zip) => zip.fill(255, 40, 60)), 'x.zip: m/config.json is damaged'],
  ['two folders', () => zipSync({ 'a/config.json': bytesOf('{}'), 'b/x.json': bytesOf('{}') }), 'it holds 2 folders'],
  ['no files', () => zipSync({ 'a/b/c/d.json': bytesOf('{}') }), 'there are no files of a model in it'],
] as const)('a .zip with %s says so', async (_, make, message) => {
  const read = async () => (await zipFolder(new Blob([make()]), 'x.zip')).folder.read('config.json');
  await expect(read()).rejects.toThrow(message);
});

function broken(change: (zip: Uint8Array) => void): Uint8Array<ArrayBuffer> {
  const zip = zipSync({ 'm/config.json': [bytesOf(long), { level: 9 }] });
  change(zip);
  return zip;
}

it('of a chosen folder the files at its top are a model, and nothing else is', () => {
  const file = (path: string) => {
    const made = new File(['x'], path.split('/').at(-1)!);
    return Object.defineProperty(made, 'webkitRelativePath', { value: path.includes('/') ? path : '' });
  };
  const { folder, files } = chosenFiles([file('m/config.json'), file('m/onnx/model.onnx')]);
  expect([folder, files.map(({ name }) => name)]).toEqual(['m', ['config.json']]);
  expect(chosenFiles([file('m.ZIP')])).toMatchObject({ folder: null });
  expect(() => chosenFiles([file('model.safetensors')])).toThrow('a model is one folder with config.json');
  expect(() => chosenFiles([])).toThrow('there are no files');
});

it('the address of the page names another hub, or none', () => {
  expect(hubOf('')).toBe('https://huggingface.co');
  expect(hubOf('?hub=')).toBe('https://huggingface.co');
  expect(hubOf('?x=1&hub=http://localhost:8000/')).toBe('http://localhost:8000');
});

it('a large model begins with an adapter, a small one as ours do; another environment keeps both', () => {
  const tiny = resolveConfig({ env: 'reverse-text', seed: 7 });
  const large = withStart(tiny, 'hf:a/b', 270e6);
  expect(large).toMatchObject({ start: 'hf:a/b', method: 'lora', seed: 7, seq_len: 1024, grpo: { lr: 5e-5 } });
  expect(withStart(tiny, 'folder:x', 1e6)).toMatchObject({ start: 'folder:x', method: 'full', grpo: tiny.grpo });
  const elsewhere = withEnvironment({ ...large, lora: { ...large.lora, rank: 4 } }, 'reasoning');
  expect(elsewhere).toMatchObject({
    env: 'reasoning',
    start: 'hf:a/b',
    method: 'lora',
    lora: { rank: 4 },
    grpo: large.grpo,
  });
  expect(withEnvironment(tiny, 'letter-sort')).toEqual(resolveConfig({ env: 'letter-sort', seed: 7 }));
  expect(withStart(large, 'starter', 0)).toEqual(resolveConfig({ env: 'reverse-text', seed: 7, start: 'starter' }));
  expect(withMethod({ ...large, lora: { ...large.lora, rank: 4 } }, 'full').lora).toEqual(LORA_DEFAULTS);
  expect(['starter', 'scratch', 'hf:a/b', 'folder:x'].map(isModel)).toEqual([false, false, true, true]);
});

it('models to ask are listed by what they are, adapters by their base', () => {
  const runs = [
    { run: 'one', step: 3, rank: 4, base: 'hf:a/b' },
    { run: 'two', step: 5, rank: 8, base: 'hf:a/b' },
    { run: 'three', step: 1, rank: null, base: null },
  ];
  const groups = modelChoices(true, [{ name: 'hf:a/b', bytes: 1 }], runs);
  expect(groups.map(({ title, choices }) => [title, choices.map(({ label }) => label)])).toEqual([
    ['This run', ['as it started', 'as it is now']],
    ['Models', ['hf:a/b']],
    ['Adapters of hf:a/b', ['one, step 3', 'two, step 5']],
    ['Runs', ['three, step 1']],
  ]);
  expect(groups[1]!.choices[0]!.value).toBe(valueOf({ name: 'hf:a/b', kind: 'model' }));
  expect(modelChoices(false, [], [])).toEqual([]);
});

it('tokens are shown as people read them', () => {
  const bytes = ['Ġ', 'Ġthe', 'Ċ', 'Ã©', 'Ã', 'a', '<|im_end|>', '世'];
  expect(bytes.map((_, id) => tokenText(bytes, id))).toEqual([' ', ' the', '\n', 'é', 'Ã', 'a', '<|im_end|>', '世']);
  const spaced = ['▁the', 'Ã©', '<eos>'];
  expect(spaced.map((_, id) => tokenText(spaced, id))).toEqual([' the', 'Ã©', '<eos>']);
  expect(tokenText(spaced, 9)).toBe('?');
  expect(['', ' a\n', '\u00a0', '\u200d\u0301', 'x'].map(named)).toEqual([
    '(part of a character)',
    '␣a↵',
    'U+00a0',
    'U+200d U+0301',
    'x',
  ]);
});
