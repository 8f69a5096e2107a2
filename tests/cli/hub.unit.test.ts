/** @file Which folder a model's name means in the terminal. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, it, vi } from 'vitest';
import { isHubName, modelFolder } from '../../cli/hub';
import { CheckpointError, HubError } from '../../src/model';
import { commitOf, serveHub } from '../hub_server';
import type { HubServer } from '../hub_server';
import { oracleModel } from '../model/hub/models';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-names-'));
const model = oracleModel('llama-tiny', { id: 'some/model' });
let hub: HubServer;
let errors: string;
beforeEach(async () => {
  hub = await serveHub(model);
  vi.stubEnv('TERRARIUM_CACHE', join(scratch, 'cache'));
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  errors = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    errors += String(text);
    return true;
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await hub.close();
});
afterAll(() => rmSync(scratch, { recursive: true }));

const inScratch = (name: string) => join(scratch, name);

it('after hf: a model of the hub, downloaded once; its bare name is found among those downloaded, and never downloads', async () => {
  expect(['hf:a/b', 'a/b', './a'].map(isHubName)).toEqual([true, false, false]);
  const bare = modelFolder('some/model', inScratch);
  await expect(bare).rejects.toThrow(CheckpointError);
  await expect(bare).rejects.toThrow(
    'some/model: there is no such folder, nor a downloaded model of that name; `terrarium models download some/model` ' +
      'brings one of the hub',
  );
  expect(hub.requests).toEqual([]);

  const name = `hf:some/model@${commitOf(model).slice(0, 12)}`;
  expect((await modelFolder('hf:some/model', inScratch)).name).toBe(name);
  expect(errors).toMatch(/^hf:some\/model: model\.safetensors, 147 KiB of 147 KiB, .*\/s\n$/m);
  const asked = hub.requests.length;
  expect((await modelFolder('hf:some/model', inScratch)).name).toBe(name);
  expect((await modelFolder('some/model', inScratch)).name).toBe(name);
  expect(hub.requests).toHaveLength(asked);
  await expect(modelFolder('hf:some', inScratch)).rejects.toThrow(HubError);
});

it('a folder goes before a model of the same name', async () => {
  mkdirSync(join(scratch, 'some/model'), { recursive: true });
  writeFileSync(join(scratch, 'some/model/config.json'), '{}');
  expect((await modelFolder('some/model', inScratch)).name).toBe(join(scratch, 'some/model'));
});
