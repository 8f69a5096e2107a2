/** @file What a run has kept of its models, and what a base on a hub is called. */
import { expect, it } from 'vitest';
import { openFile } from '../../../src/model';
import {
  baseOf,
  exportRun,
  listAdapters,
  listRunModels,
  peftBaseName,
  readArchive,
  resolveConfig,
} from '../../../src/rl';
import { MODEL, ended, play, stepped } from './fake_run';

it('whole models of a run: the newest first, read in pieces', async () => {
  const { storage, store } = await play({ steps: 2 });
  expect((await listRunModels(storage, 'one')).map(({ run, step, kept, lora }) => [run, step, kept, lora])).toEqual([
    ['one', 2, 'checkpoint', undefined],
    ['one', 1, 'checkpoint', undefined],
    ['one', 0, 'checkpoint', undefined],
  ]);
  await store.record(stepped(3));
  await store.record(ended());
  await store.finish(MODEL);
  const [end, newest] = await listRunModels(storage, 'one');
  expect([end!.step, end!.kept, newest!.step]).toEqual([3, 'end', 2]);
  for (const { folder } of [end!, newest!]) {
    const file = await openFile(folder, 'model.safetensors');
    expect(new TextDecoder().decode(await file!.read(1, file!.size))).toBe('eights');
    expect(await openFile(folder, 'model-00001.safetensors')).toBeUndefined();
  }
  expect(await listAdapters(storage, 'one')).toEqual([]);
});

it('a chat template in a file of its own is part of a run that is taken elsewhere', async () => {
  const { storage, store } = await play({ steps: 1 });
  const template = new TextEncoder().encode('{{ messages }}');
  await store.finish(new Map([...MODEL, ['chat_template.jinja', template]]));
  const { run } = await readArchive(await exportRun(storage, 'one'), 'one.zip');
  expect(await run.read('chat_template.jinja')).toEqual(template);
});

it.each([
  [{ start: 'starter' }, 'starters/reverse-text', 'starters/reverse-text'],
  [{ start: 'models/mine' }, 'models/mine', 'models/mine'],
  [{ start: 'hf:Qwen/Qwen3-0.6B' }, 'hf:Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B'],
  [{ start: 'hf:Qwen/Qwen3-0.6B@v1.0' }, 'hf:Qwen/Qwen3-0.6B@v1.0', 'Qwen/Qwen3-0.6B'],
  [{ start: 'adapters/mine', base: 'hf:a/b' }, 'hf:a/b', 'a/b'],
])('the base of %j', (layer, base, peft) => {
  expect(baseOf(resolveConfig({ env: 'reverse-text', method: 'lora', ...layer }))).toBe(base);
  expect(peftBaseName(base)).toBe(peft);
});
