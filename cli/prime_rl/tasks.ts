/** @file An environment's tasks as lines of JSON, and what of an environment an engine cannot play. */
import { PURPOSE, deriveKey } from '../../src/random';
import { functionModel } from '../../src/envs';
import type { EnvGroup, Environment, Example, ToolSchema } from '../../src/envs';
import { ExportError } from './error';
import { messagesOut } from './runner';

export type Split = 'train' | 'eval';

/** Tasks of a dataset without an end, unless told otherwise. */
export const ENDLESS: Readonly<Record<Split, number>> = { train: 1000, eval: 200 };

/**
 * The first tasks of a split, one object each: the row's own columns, `example_id`, and `prompt` as the model is told it.
 * @param count at most; undefined = all, or some of a dataset without an end
 * @throws ExportError, DatasetError
 */
export async function taskLines(env: Environment, split: Split, count?: number): Promise<string[]> {
  const { length } = split === 'train' ? env.dataset : env.evalDataset;
  const wanted = count ?? (length === Infinity ? ENDLESS[split] : length);
  const lines: string[] = [];
  for (let index = 0; index < Math.min(length, wanted); index++) {
    const task = taskOf(env, await env.example(index, split));
    requireJson(task, `${env.name}: row ${index} of ${split}`);
    lines.push(JSON.stringify(task));
  }
  if (lines.length === 0)
    throw new ExportError(`${env.name} has no tasks to ${split === 'train' ? 'train' : 'evaluate'} on`);
  return lines;
}

/** A task as the package has it. */
export function taskOf(env: Environment, example: Example): Record<string, unknown> {
  const { exampleId, ...row } = example;
  if ('example_id' in row) throw new ExportError(`${env.name}: row ${exampleId} has a column example_id of its own`);
  return { example_id: exampleId, ...row, prompt: messagesOut(env.promptFor(example)) };
}

/** Refuses what JSON would change without a word. */
function requireJson(value: unknown, where: string): void {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number' && Number.isFinite(value)) return;
  if (Array.isArray(value)) return value.forEach((item, i) => requireJson(item ?? null, `${where}[${i}]`));
  if (typeof value === 'object' && [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)) {
    for (const [key, item] of Object.entries(value)) requireJson(item, `${where}, ${key}`);
    return;
  }
  throw new ExportError(`${where}: ${typeof value === 'number' ? value : typeof value} is nothing that JSON can say`);
}

/** The environment itself, or the members of a group; by what they have, as a package brings its own classes. */
function membersOf(env: Environment): Environment[] {
  const { envs } = env as Partial<EnvGroup>;
  return envs instanceof Map ? [...envs.values()].flatMap(membersOf) : [env];
}

/**
 * Refuses an environment in which a rollout is not one conversation with one reward of its own.
 * @throws ExportError
 */
export async function requireOneSeat(env: Environment): Promise<void> {
  for (const member of membersOf(env)) {
    if (member.rubric.hasGroupRewards) {
      throw new ExportError(`${member.name} scores the rollouts of a task together, which an engine cannot ask for`);
    }
    if (!('seats' in member)) continue;
    const silent = functionModel('silent', () => '');
    for (const split of ['train', 'eval'] as const) {
      const key = deriveKey(0, PURPOSE.sampling);
      const traces = await member.rolloutGroup(await member.example(0, split), silent, [{ draw: 0, rollout: 0, key }]);
      if (traces.length === 1) continue;
      throw new ExportError(
        `${member.name} trains several seats in one rollout (${split}), and an engine trains one: ` +
          'set an option that gives it an opponent, if there is one',
      );
    }
  }
}

/** The tools of an environment; of a group, those of all members. */
export function toolsOf(env: Environment): ToolSchema[] {
  const tools = membersOf(env).flatMap((member) => member.toolSchemas());
  return [...new Map(tools.map((tool) => [tool.name, tool])).values()];
}
