import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { entropyCheck, lengthPenaltyCheck, lossesCheck } from './checks/oracle_losses';
import { loraCheck, loraModelsCheck } from './checks/oracle_lora';
import { backwardCheck, cacheCheck, forwardCheck } from './checks/oracle_model';
import { adamwCheck, samplingCheck } from './checks/oracle_optim';
import { failures } from './checks/report';
import { ORACLE_DIR, testGpu } from './gpu';

for (const check of [
  forwardCheck,
  cacheCheck,
  backwardCheck,
  loraCheck,
  loraModelsCheck,
  lossesCheck,
  lengthPenaltyCheck,
  entropyCheck,
  adamwCheck,
  samplingCheck,
]) {
  it(check.name, async () => {
    const cases = await check.run(await testGpu(), ORACLE_DIR);
    expect(cases.length).toBeGreaterThan(0);
    expect(failures(cases)).toEqual([]);
    if (process.env.SHOW)
      console.table(cases.sort((a, b) => b.error / b.tolerance - a.error / a.tolerance).slice(0, 8));
  });
}

it('what a check needs and does not find is a failure, not less to compare', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'oracle-'));
  const write = (path: string, value: unknown) => {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), JSON.stringify(value));
  };
  const model = 'llama-tiny';
  cpSync(join(ORACLE_DIR, 'models', model), join(dir, 'models', model), { recursive: true });
  write('losses/cases.json', []);
  const gpu = await testGpu();
  const failed = async (check: typeof forwardCheck) => failures(await check.run(gpu, dir)).map(({ name }) => name);
  expect(await failed(forwardCheck)).toEqual([`forward/${model}.safetensors is missing`]);
  expect(await failed(cacheCheck)).toEqual([`forward/${model}.safetensors is missing`]);
  expect(await failed(lossesCheck)).toEqual(['losses/extra.json is missing']);
  expect(await failed(entropyCheck)).toEqual(['losses/extra.json is missing']);

  expect(await failed(loraModelsCheck)).toEqual([`backward/${model} is missing`]);
  write('cases.json', { lora: {} });
  cpSync(join(ORACLE_DIR, 'lora', model), join(dir, 'lora', model), { recursive: true });
  expect(await failed(loraCheck)).toEqual([
    `lora of ${model} in cases.json is missing`,
    'lora in cases.json is missing',
  ]);
  const lora = { file: `lora/${model}.safetensors`, adapter: `lora/${model}`, rank: 4, alpha: 8, loss: 0 };
  write('cases.json', { lora: { [model]: lora } });
  expect(await failed(loraCheck)).toEqual([`lora/${model}.safetensors is missing`]);

  write('cases.json', { backward: {} });
  expect(await failed(backwardCheck)).toEqual([`backward of ${model} in cases.json is missing`]);
  // A loss whose file is not there; files that the index does not list.
  const inputs = `backward/${model}/inputs.safetensors`;
  const gone = `backward/${model}/gone.safetensors`;
  cpSync(join(ORACLE_DIR, 'backward', model), join(dir, 'backward', model), { recursive: true });
  const losses = { gone: { file: gone, kind: 'sft', temperature: 1, loss: 0 } };
  write('cases.json', { backward: { [model]: { inputs, losses } } });
  const names = await failed(backwardCheck);
  expect(names).toContain(`${gone} is missing`);
  expect(names).toContain(`backward/${model}/dapo.safetensors in cases.json is missing`);
  expect(names).not.toContain(`${inputs} in cases.json is missing`);
  rmSync(dir, { recursive: true });
});
