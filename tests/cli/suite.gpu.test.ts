/** @file Suites and ONNX folders as a user runs them: the built program in a process of its own. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { starterPath } from '../../cli/files';
import { Random } from '../../src/random';
import { chatBody, json, serve } from '../endpoint';
import { exportOnnx } from '../onnx/export';
import { start, terrarium } from './program';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-'));
afterAll(() => rmSync(scratch, { recursive: true }));

it('killed in the middle and started again, a suite of 4 environments, 2 models and 2 settings gives the same table', async () => {
  const endpoint = await serve(async ({ body }, reply) => {
    const text = body.messages.at(-1)!.content!;
    const random = new Random([
      text.length,
      [...text].reduce((sum, letter) => 31 * sum + letter.charCodeAt(0), 0) >>> 0,
    ]);
    await new Promise((go) => setTimeout(go, 10 * random.next()));
    const right = random.next() < (body.model === 'acme/good' ? 0.9 : 0.5) - (body.temperature as number) / 4;
    json(reply, chatBody({ role: 'assistant', content: right ? [...text].reverse().join('') : text }));
  });
  const suite = join(scratch, 'small.toml');
  writeFileSync(
    suite,
    `api_base_url = "${endpoint.baseUrl}"
model = ["acme/good", "acme/bad"]
num_examples = 6
rollouts_per_example = 2
max_concurrent = 3

[[ablation]]
env_id = ["reverse-text", "even-digits", "letter-sort", "arithmetic-mini"]
[ablation.sweep]
temperature = [0.2, 1.0]
`,
  );
  try {
    const [whole, killed] = [join(scratch, 'whole'), join(scratch, 'killed')];
    const { code, out, err } = await terrarium(['eval', suite, '--output-dir', whole]);
    expect(code, err).toBe(0);
    const table = (outputs: string, file: string) => readFileSync(join(outputs, 'suites/small', file), 'utf8');
    expect(table(whole, 'table.md')).toBe(out);
    expect(out.trim().split('\n')).toHaveLength(16 + 2);
    expect(table(whole, 'table.csv')).toMatch(
      /^environment,model,temperature,examples,rollouts,failed,reward,low,high,/,
    );

    const before = endpoint.requests.length;
    const program = start(['eval', suite, '--output-dir', killed]);
    while (endpoint.requests.length < before + 90) await new Promise((go) => setTimeout(go, 2));
    program.child.kill('SIGKILL');
    await program.ended;
    const folders = readdirSync(join(killed, 'suites/small')).filter((name) => name.includes('--'));
    expect(folders.length).toBeLessThan(16);
    const again = await terrarium(['eval', suite, '--output-dir', killed]);
    expect(again.err).toContain('rollouts are there');
    expect(again.out).toBe(out);
    expect(table(killed, 'table.csv')).toBe(table(whole, 'table.csv'));
    // Only what was on its way when it died is asked for twice.
    expect(endpoint.requests.length - before).toBeLessThanOrEqual(before + 6);
    const lines = readdirSync(join(killed, 'suites/small'))
      .map((name) => join(killed, 'suites/small', name, 'results.jsonl'))
      .filter((path) => existsSync(path))
      .map((path) => readFileSync(path, 'utf8').trim().split('\n').length);
    expect(lines).toEqual(Array.from({ length: 16 }, () => 12));
  } finally {
    await endpoint.close();
  }
});

it('plays native, ONNX and endpoint models in one suite, and says what is wrong with a suite in one line', async () => {
  await exportOnnx(starterPath('letter-sort'), join(scratch, 'onnx'));
  const suite = join(scratch, 'models.toml');
  writeFileSync(
    suite,
    `[[eval]]
env_id = "letter-sort"
model = ["starter", ${JSON.stringify(join(scratch, 'onnx'))}]
temperature = 0.0
`,
  );
  const { code, out, err } = await terrarium(['eval', suite, '--json', '--output-dir', join(scratch, 'models')]);
  expect(code, err).toBe(0);
  const { columns, rows } = JSON.parse(out) as { columns: string[]; rows: unknown[][] };
  expect(columns.slice(0, 3)).toEqual(['environment', 'model', 'examples']);
  expect(rows.map((row) => row[1])).toEqual(['starter', join(scratch, 'onnx')]);
  expect(rows[1]!.slice(2)).toEqual(rows[0]!.slice(2)); // the same weights

  for (const [text, message] of [
    ['[[eval]]\nenv_id = "letter-sort', 'SuiteError: '],
    [
      '[[eval]]\nenv_id = "letter-sort"\nmodel = "no/such"',
      'SuiteError: letter-sort with no/such: UsageError: -m no/such: no folder',
    ],
    [
      '[[eval]]\nenv_id = "letter-srt"',
      'SuiteError: letter-srt with starter: EnvironmentPackageError: there is no environment',
    ],
  ] as const) {
    writeFileSync(suite, text);
    const failed = await terrarium(['eval', suite, '--output-dir', join(scratch, 'failed')]);
    expect(failed.code).toBe(1);
    expect(failed.err).toContain(message);
    expect(failed.err).not.toMatch(/^ +at /m);
  }
});

it('evaluates an ONNX folder by what it holds, and names the files that one lacks', async () => {
  const folder = join(scratch, 'one');
  await exportOnnx(starterPath('letter-sort'), folder);
  const flags = ['eval', 'letter-sort', '-m', folder, '-n', '4', '-r', '1', '-T', '0', '--json'];
  const { code, out, err } = await terrarium(flags);
  expect(code, err).toBe(0);
  expect(err).toContain('(fp32), by ONNX Runtime on the CPU');
  expect(JSON.parse(out)).toMatchObject({ num_examples: 4, avg_error: 0 });
  rmSync(join(folder, 'tokenizer.json'));
  rmSync(join(folder, 'onnx/model.onnx'));
  writeFileSync(join(folder, 'onnx/notes.txt'), '');
  const broken = await terrarium(flags);
  expect(broken.code).toBe(1);
  expect(broken.err).toMatch(/^CheckpointError: .*: tokenizer.json and onnx\/model.onnx \(nor .*\) are missing\n$/);
});
