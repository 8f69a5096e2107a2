/** @file code-math for pretrained models: problems for which one had better write some lines of JavaScript. */
import { MathRubric } from '../../math_rubric';
import { SandboxEnv } from '../../sandbox_env';
import { formatRun } from '../../sandbox';
import type { Message } from '../../types';
import { boxed, misreckon } from '../arithmetic/problems';
import { splitDatasets } from '../held_out';
import { drawProblem } from './problems';

const SYSTEM_PROMPT =
  'Solve the problem by running JavaScript with your tool. Then write the final number, all its digits, inside \\boxed{}.';

export function loadFull({ seed }: { seed: number }): SandboxEnv {
  return new SandboxEnv({
    name: 'code-math',
    ...splitDatasets(seed, drawProblem),
    systemPrompt: SYSTEM_PROMPT,
    rubric: new MathRubric(),
    sampling: { maxTokens: 512 },
    maxTurns: 6,
    demonstrate: ({ answer, code }, random, { careless }) =>
      random.next() < careless ? [say(boxed(misreckon(answer!, random)))] : worked(String(code), answer!),
  });
}

function worked(code: string, answer: string): Message[] {
  const id = 'call_0';
  return [
    { role: 'assistant', content: '', toolCalls: [{ id, name: 'javascript', arguments: JSON.stringify({ code }) }] },
    { role: 'tool', content: formatRun({ stdout: '', value: answer, cut: false, steps: 0 }), toolCallId: id },
    say(boxed(answer)),
  ];
}

function say(content: string): Message {
  return { role: 'assistant', content };
}
