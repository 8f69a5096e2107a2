/** @file The lint rule that holds the layers apart: what it refuses, and what it lets pass. */
import { ESLint } from 'eslint';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import tseslint from 'typescript-eslint';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

let eslint: ESLint;
beforeAll(() => {
  // The rules with types are switched off: these files are not there, and types have no say in who imports whom.
  const untyped = tseslint.configs.disableTypeChecked as ESLint.Options['overrideConfig'];
  eslint = new ESLint({ cwd: ROOT, overrideConfig: untyped });
});

/** Rules that a file of this content would break. */
async function broken(filePath: string, code: string): Promise<(string | null)[]> {
  const [result] = await eslint.lintText(`${code}\n`, { filePath });
  return result!.messages.map(({ ruleId, message }) => ruleId ?? message);
}

const LAYERS = 'boundaries/dependencies';
const DOOR = 'no-restricted-imports';

it.each([
  ['src/kernels/x.ts', "import '../rl';", [LAYERS]],
  ['src/kernels/x.ts', "import '../random';", [LAYERS]],
  ['src/kernels/x.ts', "export * from '../model';", [LAYERS]],
  ['src/kernels/x.ts', "export const x = () => import('../envs');", [LAYERS]],
  ['src/model/x.ts', "import '../kernels';", []],
  ['src/model/x.ts', "import { Rubric } from '../envs';\nexport const x = Rubric;", [LAYERS]],
  ['src/model/x.ts', "import type { ChatModel } from '../envs';\nexport type X = ChatModel;", []],
  ['src/envs/x.ts', "import type { Gpu } from '../kernels';\nexport type X = Gpu;", [LAYERS]],
  ['src/envs/x.ts', "import '../random';", []],
  ['src/rl/x.ts', "import '../kernels';\nimport '../model';\nimport '../envs';", []],
  ['src/rl/x.ts', "import '../../cli/dawn';", [LAYERS]],
  ['cli/x.ts', "import '../demo/url';", [LAYERS]],
  ['cli/x.ts', "import '../src/rl';", []],
  ['demo/x.ts', "import '../src/rl/grpo';", [DOOR]],
  ['demo/panels/X.svelte', '<script lang="ts">\n  import \'../../src/kernels/gpu\';\n</script>', [DOOR]],
  ['demo/panels/X.svelte', '<script lang="ts">\n  import \'../../src/kernels\';\n</script>', []],
  ['src/elsewhere/x.ts', 'export const x = 1;', ['boundaries/no-unknown-files']],
])('%s: %s breaks %j', async (filePath, code, rules) => {
  expect(await broken(filePath, code)).toEqual(rules);
});
