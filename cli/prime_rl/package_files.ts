/** @file The files of a package beside its tasks and its runner: what Python's tools read, and what people do. */
import { stringify } from 'smol-toml';
import { formatSampling } from '../../src/envs';
import type { Environment } from '../../src/envs';
import type { Split } from './tasks';
import { toolsOf } from './tasks';
import pythonEnvironment from './python/environment.py?raw';
import pythonInit from './python/__init__.py?raw';
import pythonMessages from './python/messages.py?raw';
import pythonProcess from './python/process.py?raw';
import pythonRunner from './python/runner.py?raw';
import pythonTasks from './python/tasks.py?raw';
import pythonTaskset from './python/taskset.py?raw';

/** The same in every package: what differs is in its data. */
export const PYTHON: Readonly<Record<string, string>> = {
  '__init__.py': pythonInit,
  'environment.py': pythonEnvironment,
  'messages.py': pythonMessages,
  'process.py': pythonProcess,
  'runner.py': pythonRunner,
  'tasks.py': pythonTasks,
  'taskset.py': pythonTaskset,
};

export interface PackageFacts {
  env: Environment;
  args: Readonly<Record<string, unknown>>;
  version: string;
  tasks: Readonly<Record<Split, readonly string[]>>;
  evalExamples: number;
  evalRollouts: number;
}

/** The package's id for pip and verifiers: no name that upstream's own examples have. */
export function packageId(environment: string): string {
  return `terrarium-${environment
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')}`;
}

/** As Python imports it. */
export function moduleName(id: string): string {
  return id.replaceAll('-', '_');
}

/** data/manifest.json */
export function manifest({ env, args, tasks, version }: PackageFacts): string {
  const { rubric, passThreshold, sampling } = env;
  const data = {
    name: env.name,
    version,
    env_args: args,
    tasks: { train: tasks.train.length, eval: tasks.eval.length },
    metrics: rubric.names,
    tools: toolsOf(env),
    sampling: formatSampling(sampling),
    pass_threshold: passThreshold,
  };
  return `${JSON.stringify(data, null, 2)}\n`;
}

/** pyproject.toml */
export function pyproject({ env, version, evalExamples, evalRollouts }: PackageFacts): string {
  const id = packageId(env.name);
  return stringify({
    project: {
      name: id,
      version,
      description: `The environment ${env.name} of Terrarium, for verifiers and prime-rl.`,
      readme: 'README.md',
      'requires-python': '>=3.11',
      dependencies: ['verifiers>=0.2.0', 'datasets', 'httpx'],
      keywords: ['verifiers', 'reinforcement-learning', 'terrarium'],
    },
    'build-system': { requires: ['hatchling'], 'build-backend': 'hatchling.build' },
    tool: {
      hatch: {
        // The tasks and the runner are part of the package wherever it lies, also where git ignores it.
        build: { 'ignore-vcs': true, targets: { wheel: { packages: [moduleName(id)] } } },
      },
      verifiers: { eval: { num_examples: evalExamples, rollouts_per_example: evalRollouts } },
    },
  });
}

/** README.md */
export function readme({ env, args, tasks }: PackageFacts, model: string): string {
  const id = packageId(env.name);
  const named = model.startsWith('/') ? '<the model above>' : model;
  const scores = env.rubric.names.filter((name) => !env.rubric.metricNames.includes(name));
  return `# ${id}

The environment ${env.name} of Terrarium, for [verifiers](https://github.com/PrimeIntellect-ai/verifiers) and
[prime-rl](https://github.com/PrimeIntellect-ai/prime-rl). What it asks, answers and rewards is the very code that ran in the
page: \`${moduleName(id)}/node/runner.mjs\`, in a Node subprocess. **Node.js 20 or newer must be on the PATH** (or named in
\`TERRARIUM_NODE\`).

| | |
|---|---|
| tasks | ${tasks.train.length} to train on, ${tasks.eval.length} to evaluate on (\`data/train.jsonl\`, \`data/eval.jsonl\`) |
| rewards | ${scores.join(', ') || 'none'} |
| options it was made with | \`${JSON.stringify(args)}\` |
| model in rl.toml | \`${model}\` |

Three commands, in the Python environment of prime-rl:

    uv pip install -e .
    vf-eval ${id} -m ${named} -b http://localhost:8000/v1 -n 20 -r 3
    uv run rl @ rl.toml

With verifiers' v1 interface an eval is

    uv run eval ${id} -m ${named} --client.base-url http://localhost:8000/v1 -n 20 -r 3 --env.agent.runtime.type subprocess

The tasks are plain JSON lines: take some away, or change them. A line's \`prompt\` is what the model is told, \`answer\`, \`info\`
and the other columns are what the rewards look at. rl.toml lists at its top the settings that prime-rl has no place for.

rl.toml is for prime-rl newer than 0.8.0 and trains through \`TerrariumTaskset\`, the package's v1 interface. prime-rl 0.6 to 0.8
train through \`load_environment\` (\`id = "${id}"\` in the source, in 0.8 below \`legacy\`); the other settings have older
names there.
`;
}
