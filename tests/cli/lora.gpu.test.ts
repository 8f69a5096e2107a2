/** @file LoRA on the command line: a run and its adapter, evaluated, merged, trained on; and what is said of one that does not fit. */
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadModel } from '../../src/rl';
import { diskFolder, starterPath } from '../../cli/files';
import { start, terrarium } from './program';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-lora-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const SETTINGS = [
  ...['method=lora', 'lora.rank=4', 'grpo.steps=3', 'grpo.batch_size=8', 'grpo.group_size=4', 'grpo.warmup_steps=0'],
  ...['grpo.lr=5e-3', 'eval.examples=4', 'eval.interval=0', 'checkpoint.interval=1', 'checkpoint.keep_last=9'],
].flatMap((setting) => ['--set', setting]);

const whole = join(scratch, 'whole');
const adapterOf = (folder: string) => readFileSync(join(folder, 'adapter_model.safetensors'));

beforeAll(async () => {
  const { code, err } = await terrarium(['train', 'reverse-text', ...SETTINGS, '--out', whole]);
  expect(code, err).toBe(0);
  expect(err).toContain('an adapter of');
});

it('the run and each of its checkpoints are folders as PEFT writes them', () => {
  expect(readdirSync(whole).sort()).toEqual([
    ...['adapter_config.json', 'adapter_model.safetensors', 'checkpoints', 'evals', 'metrics.jsonl', 'run.json'],
    ...['tokenizer.json', 'tokenizer_config.json', 'traces'],
  ]);
  const checkpoint = join(whole, 'checkpoints/step-000003');
  expect(adapterOf(checkpoint)).toEqual(adapterOf(whole));
  expect(adapterOf(join(whole, 'checkpoints/step-000002'))).not.toEqual(adapterOf(whole));
  const config = JSON.parse(readFileSync(join(whole, 'adapter_config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ peft_type: 'LORA', r: 4, base_model_name_or_path: 'starters/reverse-text' });
  // Nothing in a checkpoint is of the size of the model.
  const model = readFileSync(join(starterPath('reverse-text'), 'model.safetensors')).byteLength;
  const state = readFileSync(join(checkpoint, 'trainer_state.safetensors')).byteLength;
  expect(state).toBeLessThan(5 * adapterOf(whole).byteLength);
  expect(adapterOf(whole).byteLength).toBeLessThan(model / 4);
});

it('killed and taken up again it ends with the same adapter', async () => {
  const folder = join(scratch, 'killed');
  const { child, ended } = start(['train', 'reverse-text', ...SETTINGS, '--json', '--out', folder]);
  child.stdout!.on('data', (data: Buffer) => {
    if (data.toString().includes('"event":"step","step":2')) child.kill('SIGKILL');
  });
  expect((await ended).signal).toBe('SIGKILL');
  expect(existsSync(join(folder, 'adapter_config.json'))).toBe(false);
  const { code, err } = await terrarium(['train', '--resume', folder]);
  expect(code, err).toBe(0);
  expect(adapterOf(folder)).toEqual(adapterOf(whole));
});

it('is merged into a whole model, which answers as base and adapter do', async () => {
  const merged = join(scratch, 'merged');
  const { code, out, err } = await terrarium(['runs', 'export', whole, merged, '--merge']);
  expect(code, err).toBe(0);
  expect(out).toBe(`${merged}: ${whole} merged into ${starterPath('reverse-text')}\n`);
  expect(readdirSync(merged).sort()).toEqual([
    ...['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'],
  ]);
  const evaluate = async (model: string) => {
    const folder = mkdtempSync(join(scratch, 'eval-'));
    const flags = ['-n', '20', '-r', '1', '-T', '0', '-s', '--output-dir', folder];
    const result = await terrarium(['eval', 'reverse-text', '-m', model, ...flags]);
    expect(result.code, result.err).toBe(0);
    const found = readdirSync(folder, { recursive: true })
      .map(String)
      .find((file) => file.endsWith('results.jsonl'))!;
    const lines = readFileSync(join(folder, found), 'utf8').trim().split('\n');
    return lines.map((line) => (JSON.parse(line) as { completion: unknown }).completion);
  };
  const adapted = await evaluate(whole);
  expect(await evaluate(merged)).toEqual(adapted);
  expect(adapted).toHaveLength(20);

  const early = join(scratch, 'early');
  expect((await terrarium(['runs', 'export', whole, early, '--merge', '--step', '1'])).code).toBe(0);
  const tensors = async (folder: string) => (await loadModel(diskFolder(folder))).tensors;
  expect(await tensors(early)).not.toEqual(await tensors(merged));
  // An adapter's folder alone, as from elsewhere.
  const plain = join(scratch, 'plain');
  for (const file of ['adapter_config.json', 'adapter_model.safetensors']) cpSync(join(whole, file), join(plain, file));
  expect((await terrarium(['runs', 'export', plain, join(scratch, 'same'), '--merge'])).code).toBe(0);
  expect(await tensors(join(scratch, 'same'))).toEqual(await tensors(merged));
});

it('is trained on by another run', async () => {
  const more = join(scratch, 'more');
  const settings = [`start=${whole}`, 'method=lora', 'grpo.steps=2', 'grpo.batch_size=32', 'grpo.warmup_steps=0'];
  const flags = [...settings, 'eval.examples=4'].flatMap((setting) => ['--set', setting]);
  const { code, err } = await terrarium(['train', 'reverse-text', ...flags, '--out', more]);
  expect(code, err).toBe(0);
  const config = JSON.parse(readFileSync(join(more, 'adapter_config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ r: 4, base_model_name_or_path: 'starters/reverse-text' });
  expect(adapterOf(more)).not.toEqual(adapterOf(whole));
});

it('is forked from a checkpoint, and the fork goes on over the same base', async () => {
  const child = join(scratch, 'child');
  const fork = ['runs', 'fork', whole, '--out', child, '--step', '2', '--set', 'grpo.lr=1e-2'];
  expect((await terrarium(fork)).code).toBe(0);
  const { code, err } = await terrarium(['train', '--resume', child]);
  expect(code, err).toBe(0);
  expect(adapterOf(join(child, 'checkpoints/step-000002'))).toEqual(adapterOf(join(whole, 'checkpoints/step-000002')));
  expect(adapterOf(child).byteLength).toBe(adapterOf(whole).byteLength);
  const settled = await terrarium(['runs', 'fork', whole, '--out', join(scratch, 'no'), '--set', 'lora.rank=8']);
  expect(settled.code).toBe(1);
  expect(settled.err).toContain('lora: a fork goes on with what its parent has learned and cannot change this');
});

it('--dry-run shows what it takes of the memory', async () => {
  const { code, err } = await terrarium(['train', 'reverse-text', ...SETTINGS, '--dry-run']);
  expect(code).toBe(0);
  expect(err).toMatch(/weights \(and adapter\) +\d/);
});

it('what does not fit is one clear error', async () => {
  const lost = join(scratch, 'lost');
  cpSync(whole, lost, { recursive: true });
  const change = (file: string, more: object) => {
    const json = JSON.parse(readFileSync(join(lost, file), 'utf8')) as object;
    writeFileSync(join(lost, file), JSON.stringify({ ...json, ...more }));
  };
  change('adapter_config.json', { base_model_name_or_path: 'no/such/model' });
  const failed = async (...args: string[]) => {
    const { code, err } = await terrarium(args);
    expect(code).toBe(1);
    return err;
  };
  expect(await failed('eval', 'reverse-text', '-m', lost, '-n', '1')).toContain(
    `CheckpointError: ${lost}: its base model no/such/model cannot be used: no/such/model: config.json is missing`,
  );
  expect(await failed('runs', 'export', lost, join(scratch, 'never'), '--merge')).toContain('no/such/model');
  expect(existsSync(join(scratch, 'never'))).toBe(false);
  change('adapter_config.json', { base_model_name_or_path: 'starters/reverse-text', use_dora: true });
  expect(await failed('train', 'reverse-text', '--set', `start=${lost}`, '--set', 'method=lora')).toContain(
    `${lost}/adapter_config.json: use_dora = true is not supported`,
  );
  expect(await failed('train', 'reverse-text', '--set', `start=${whole}`)).toContain('set method to "lora"');
  expect(await failed('runs', 'export', whole, join(scratch, 'none'), '--merge', '--step', '7')).toContain(
    'has no adapter of step 7; it has those of 3, 2, 1, 0',
  );
});
