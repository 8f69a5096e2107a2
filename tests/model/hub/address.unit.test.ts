/** @file How models of a hub are named. */
import { expect, it } from 'vitest';
import { HubError, parseModelAddress } from '../../../src/model';

it.each([
  ['HuggingFaceTB/SmolLM2-135M-Instruct', 'HuggingFaceTB/SmolLM2-135M-Instruct', 'main'],
  ['  Qwen/Qwen3-0.6B ', 'Qwen/Qwen3-0.6B', 'main'],
  ['hf:Qwen/Qwen2.5-0.5B-Instruct', 'Qwen/Qwen2.5-0.5B-Instruct', 'main'],
  ['Qwen/Qwen3-0.6B@v1.0', 'Qwen/Qwen3-0.6B', 'v1.0'],
  ['hf:Qwen/Qwen3-0.6B@refs/pr/7', 'Qwen/Qwen3-0.6B', 'refs/pr/7'],
  ['a/b@0123456789abcdef0123456789abcdef01234567', 'a/b', '0123456789abcdef0123456789abcdef01234567'],
  ['https://huggingface.co/Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B', 'main'],
  ['https://huggingface.co/Qwen/Qwen3-0.6B/', 'Qwen/Qwen3-0.6B', 'main'],
  ['https://huggingface.co/Qwen/Qwen3-0.6B?library=transformers#files', 'Qwen/Qwen3-0.6B', 'main'],
  ['https://huggingface.co/Qwen/Qwen3-0.6B/tree/main', 'Qwen/Qwen3-0.6B', 'main'],
  ['https://huggingface.co/Qwen/Qwen3-0.6B/tree/refs%2Fpr%2F7', 'Qwen/Qwen3-0.6B', 'refs/pr/7'],
  ['https://huggingface.co/Qwen/Qwen3-0.6B/blob/v1/config.json', 'Qwen/Qwen3-0.6B', 'v1'],
  ['https://huggingface.co/Qwen/Qwen3-0.6B/resolve/v1/model.safetensors?download=true', 'Qwen/Qwen3-0.6B', 'v1'],
  ['huggingface.co/Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B', 'main'],
  ['https://hf.co/Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B', 'main'],
])('%s', (text, id, revision) => {
  expect(parseModelAddress(text)).toEqual({ id, revision });
});

it('addresses of a mirror are those below it', () => {
  const mirror = 'https://mirror.example/hf';
  expect(parseModelAddress(`${mirror}/a/b/tree/v1`, mirror)).toEqual({ id: 'a/b', revision: 'v1' });
  expect(() => parseModelAddress('https://mirror.example/a/b', mirror)).toThrow('it is of another site');
  expect(() => parseModelAddress('https://hf.co/a/b', mirror)).toThrow('it is of another site');
});

it.each([
  ['', 'a model is named owner/name'],
  ['gpt2', 'a model is named owner/name'],
  ['a/b/c', 'a model is named owner/name'],
  ['../etc', '".." cannot be part of a name'],
  ['a/..', '".." cannot be part of a name'],
  ['a--b/c', '"a--b" cannot be part of a name'],
  ['a/b c', '"b c" cannot be part of a name'],
  ['a/b@', '"" cannot be a revision'],
  ['a/b@../../x', '"../../x" cannot be a revision'],
  ['a/b@x y', '"x y" cannot be a revision'],
  ['https://evil.example/Qwen/Qwen3-0.6B', 'it is of another site'],
  ['https://huggingface.co.evil.example/a/b', 'it is of another site'],
  ['https://huggingface.co', 'a model is named owner/name'],
  ['https://huggingface.co/a/b/tree/%zz', 'it is no address'],
  ['https://huggingface.co/Qwen', 'a model is named owner/name'],
  ['https://huggingface.co/datasets/a/b', "it is of the hub's datasets"],
  ['https://huggingface.co/spaces/a/b', "it is of the hub's spaces"],
  ['https://huggingface.co/a/b/discussions/1', 'its page "discussions" says nothing of a revision'],
  ['https://huggingface.co/a/b/tree/%2e%2e%2fx', 'cannot be a revision'],
])('refused: %j', (text, why) => {
  expect(() => parseModelAddress(text)).toThrow(HubError);
  expect(() => parseModelAddress(text)).toThrow(`${JSON.stringify(text)} is no model of https://huggingface.co: `);
  expect(() => parseModelAddress(text)).toThrow(why);
});
