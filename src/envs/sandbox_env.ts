/**
 * @file Environments in which the model may run JavaScript: every rollout has a sandbox of its own, in which what one call
 * declares is there for the next.
 */
import { z } from 'zod';
import { PURPOSE, subKey } from '../random';
import { SandboxError, formatRun, sandboxLimits, sharedSandboxHost } from './sandbox';
import type { RunResult, Sandbox, SandboxHost, SandboxLimits } from './sandbox';
import type { State } from './state';
import { ToolEnv } from './tool_env';
import type { ToolEnvOptions } from './tool_env';
import { tool } from './tools';

export interface SandboxEnvOptions extends ToolEnvOptions {
  /** How the model calls the tool that runs its code. */
  toolName?: string;
  /** What a run may use, where that is not the default. */
  limits?: Partial<SandboxLimits>;
  /** A run as the tool message says it. */
  runFormatter?: (result: RunResult) => string;
  /** Where the sandboxes live. */
  sandboxes?: SandboxHost;
}

const DESCRIPTION =
  'Runs JavaScript and returns what it prints, then the value of its last expression. Variables are kept from one call to ' +
  'the next. There are no modules, no network, no timers and no dates.';

/**
 * A ToolEnv with a tool that runs code, `javascript(code)`. The sandbox is made before the first turn and freed after the
 * last, however the rollout ends. What the code does wrong is the tool's answer; a sandbox that cannot be had ends the
 * rollout as failed.
 */
export class SandboxEnv extends ToolEnv {
  constructor({ toolName = 'javascript', limits = {}, runFormatter = formatRun, ...options }: SandboxEnvOptions) {
    sandboxLimits(limits); // what is wrong with them shows now, not at the first rollout
    const { sandboxes = sharedSandboxHost(), tools = [], stopErrors = [] } = options;
    const run = tool({
      name: toolName,
      description: DESCRIPTION,
      parameters: z.object({ code: z.string().describe('JavaScript, one or more lines') }),
      run: async ({ code }, { state }) => runFormatter(await sandboxOf(state).run(code)),
    });
    super({
      // Runs wait for each other, and have limits of their own.
      toolTimeoutSeconds: Infinity,
      ...options,
      tools: [run, ...tools],
      stopErrors: [SandboxError, ...stopErrors],
    });
    this.addSetup('sandbox', (state) => {
      state.scratch.sandbox = sandboxes.open({ limits, key: subKey(state.random.key, PURPOSE.environment) });
    });
    this.addCleanup('sandbox', (state) => {
      void (state.scratch.sandbox as Sandbox | undefined)?.dispose();
    });
  }
}

/** The sandbox of a rollout that is being played: for tools of one's own. */
export function sandboxOf({ scratch }: State): Sandbox {
  const { sandbox } = scratch;
  if (!sandbox) throw new TypeError('this rollout has no sandbox');
  return sandbox as Sandbox;
}
