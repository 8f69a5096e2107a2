/**
 * @file Environments whose answer is a program: one file of JavaScript, graded by what its functions return. The model may
 * try things out before it answers.
 */
import { z } from 'zod';
import { MaybeThinkParser } from './parsers';
import { Rubric } from './rubric';
import { sharedSandboxHost } from './sandbox';
import type { RunResult, SandboxHost, SandboxLimits } from './sandbox';
import { SandboxEnv } from './sandbox_env';
import type { SandboxEnvOptions } from './sandbox_env';

/** One thing that a program must get right. */
export interface CodeTest {
  /** An expression: `add(2, 3)`. */
  call: string;
  /** What it must give: anything that JSON can say. */
  expected: unknown;
}

/** How one test went. */
export interface CodeVerdict {
  passed: boolean;
  /** What came instead, as text; absent where it passed. */
  got?: string;
}

export interface GradeOptions {
  limits?: Partial<SandboxLimits> | undefined;
  sandboxes?: SandboxHost | undefined;
}

const codeTests = z.array(z.object({ call: z.string(), expected: z.json() })).min(1);

/**
 * Runs tests on a program, each in a sandbox of its own, so that none sees what another did. The values are compared out
 * here, as text that is made by nothing that the program can change; objects must have their properties in the same order.
 * @param code one file: what it declares, the tests call
 * @throws RangeError for an expected value that is too long to be compared
 */
export async function gradeCode(
  code: string,
  tests: readonly CodeTest[],
  { limits, sandboxes = sharedSandboxHost() }: GradeOptions = {},
): Promise<CodeVerdict[]> {
  const host = { sandboxes, limits };
  return Promise.all(
    tests.map(async ({ call, expected }) => {
      const wanted = await lastOf(host, [`[${JSON.stringify(expected)}]`]);
      if (!isWhole(wanted)) throw new RangeError(`test ${call}: what is expected is too long to be compared`);
      const got = await lastOf(host, [code, `[${call}\n]`]);
      if (isWhole(got) && got.value === wanted.value) return { passed: true };
      return { passed: false, got: got.error === undefined ? got.value! : `error: ${got.error}` };
    }),
  );
}

/** What the last of several runs in a new sandbox gives, or the first that fails. */
async function lastOf(
  { sandboxes, limits = {} }: { sandboxes: SandboxHost; limits: Partial<SandboxLimits> | undefined },
  runs: readonly string[],
): Promise<RunResult> {
  const sandbox = sandboxes.open({ limits });
  try {
    let result: RunResult;
    for (const code of runs) {
      result = await sandbox.run(code);
      if (result.error !== undefined) break;
    }
    return result!;
  } finally {
    await sandbox.dispose();
  }
}

function isWhole({ value, cut }: RunResult): boolean {
  return value !== undefined && !cut;
}

/** The last block of code of a reply, or the whole of a reply without one. */
export function extractCode(text: string): string {
  const blocks = [...text.matchAll(/```(?:js|javascript)?[^\S\n]*\n([^]*?)(?:\n)?```/g)];
  return blocks.at(-1)?.[1] ?? text;
}

/** Rewards the share of a row's tests (`info.tests`) that the program in the response passes. */
export class CodeRubric extends Rubric {
  constructor(options: GradeOptions = {}) {
    super(
      {
        testsPassed: async ({ response, info }) => {
          const verdicts = await gradeCode(response, codeTests.parse(info.tests), options);
          return verdicts.filter(({ passed }) => passed).length / verdicts.length;
        },
      },
      { parser: new MaybeThinkParser({ extract: extractCode }) },
    );
  }
}

/**
 * A SandboxEnv whose rows have tests in `info.tests` (see CodeTest): the code block of the last reply is graded by them,
 * unless a rubric says otherwise.
 */
export class CodeEnv extends SandboxEnv {
  constructor(options: SandboxEnvOptions) {
    const { limits, sandboxes } = options;
    super({ rubric: new CodeRubric({ limits, sandboxes }), passThreshold: 1, ...options });
  }
}
