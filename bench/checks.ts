/**
 * @file `checks.mjs`: every kernel and oracle check without a test runner, for a machine that has a GPU and no npm.
 * Usage: node checks.mjs [oracle directory] [--only TEXT]    with --only, the checks whose name holds the text
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { acquireNodeGpu } from '../cli/dawn';
import { generationChecks } from '../tests/checks/generation';
import { kernelChecks } from '../tests/checks/kernels';
import { entropyCheck, lengthPenaltyCheck, lossesCheck } from '../tests/checks/oracle_losses';
import { loraCheck, loraModelsCheck } from '../tests/checks/oracle_lora';
import { backwardCheck, cacheCheck, forwardCheck } from '../tests/checks/oracle_model';
import { adamwCheck, samplingCheck } from '../tests/checks/oracle_optim';
import { failures } from '../tests/checks/report';
import type { Check, CheckCase } from '../tests/checks/report';

const ORACLE_CHECKS = [
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
];
const CHECKS: Check[] = [...kernelChecks, ...ORACLE_CHECKS, ...generationChecks];

/** The case closest to its tolerance, or furthest beyond it. A tolerance of 0 asks for equality. */
function worstOf(cases: readonly CheckCase[]): CheckCase {
  const share = ({ error, tolerance }: CheckCase) =>
    Number.isNaN(error) ? Infinity : error === 0 ? 0 : error / tolerance;
  return cases.reduce((a, b) => (share(b) > share(a) ? b : a));
}

function describe({ name, error, tolerance }: CheckCase): string {
  const figure = (value: number) =>
    value === 0 || value >= 0.01 ? `${Number(value.toPrecision(3))}` : value.toExponential(1);
  return `${name}: error ${figure(error)}, tolerance ${figure(tolerance)}`;
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { only: { type: 'string' } } });
  const { only = '' } = values;
  const checks = CHECKS.filter(({ name }) => name.includes(only));
  if (checks.length === 0) throw new RangeError(`no check's name holds "${only}"`);
  const oracle = positionals[0] ?? fileURLToPath(new URL('./oracle', import.meta.url));
  const gpu = await acquireNodeGpu();
  const say = (line: string) => process.stdout.write(`${line}\n`);
  say(gpu.adapterName);
  let failed = 0;
  for (const check of checks) {
    const started = performance.now();
    let verdict: string;
    let broken: CheckCase[] = [];
    try {
      const cases = await check.run(gpu, oracle);
      broken = failures(cases);
      const bad = cases.length === 0 || broken.length > 0;
      if (bad) failed++;
      const worst = cases.length > 0 ? `worst of ${cases.length}: ${describe(worstOf(cases))}` : 'no cases';
      verdict = `${bad ? 'FAIL' : 'ok  '}  ${check.name} (${worst})`;
    } catch (error) {
      failed++;
      verdict = `FAIL  ${check.name} (${error instanceof Error ? error.message : String(error)})`;
    }
    say(`${verdict} ${((performance.now() - started) / 1000).toFixed(1)} s`);
    for (const each of broken) say(`        ${describe(each)}`);
  }
  say(failed === 0 ? `All ${checks.length} checks passed.` : `${failed} of ${checks.length} checks failed.`);
  return failed === 0 ? 0 : 1;
}

// Dawn keeps the process alive while its GPU object lives: leave explicitly.
process.exit(await main(process.argv.slice(2)));
