/** @file `terrarium eval`: evaluates a model in an environment. The flags mean what those of vf-eval mean. */
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { evaluate, parseSamplingArgs } from '../src/envs';
import type { EvalProgress, Evaluation, RunLabels, SamplingArgs, Trace } from '../src/envs';
import { loadEnvironment } from './env_package';
import type { LoadedEnvironment } from './env_package';
import { EvalProgressLine } from './eval_progress';
import { openModel } from './open_model';
import type { OpenedModel } from './open_model';
import { userPath } from './paths';
import { formatSummary } from './report';
import { diskStore, isRun, latestRun, newRunFolder } from './store';
import { isSuite, suiteCommand } from './suite';
import { oneLine } from './text';
import { UsageError } from './usage_error';

export const EVAL_USAGE = `terrarium eval <environment> [options]
terrarium eval <suite.toml> [--output-dir DIR] [--json]

  <environment>                 a name in the library, one in environments/, or the path of a package (index.ts that
                                exports loadEnvironment); the package's code runs with your rights
  <suite.toml>                  [[eval]] and [[ablation]] blocks as vf-eval reads them; one table of all results, in
                                <DIR>/suites/<suite>/table.csv and table.md; the same command goes on after a stop
  -m, --model MODEL             a folder with a checkpoint or an ONNX model, hf:OWNER/NAME[@REVISION] for a checkpoint of
                                the Hugging Face hub (terrarium models), hub:OWNER/NAME for ONNX files to download,
                                or "starter" for the environment's shipped one (default); with -b the endpoint's
                                name for a model
  -b, --api-base-url URL        an OpenAI-compatible endpoint, such as http://localhost:8000/v1
  -k, --api-key-var NAME        environment variable that holds the endpoint's key; none is sent without it
  -n, --num-examples N          examples, -1 for all (default 5)
  -r, --rollouts-per-example N  (default 3)
  -c, --max-concurrent N        rollouts in flight (default 32)
  -t, --max-tokens N            of one reply
  -T, --temperature X
  -a, --env-args JSON           options of the environment: '{"seed": 1}'
  -S, --sampling-args JSON      max_tokens, temperature, top_p, top_k, min_p; for an endpoint anything else too
  -s, --save-results            write outputs/evals/<environment>--<model>/<run>/ as verifiers does
  -R, --resume [RUN]            go on with a saved run, the newest that fits unless its folder is given; implies -s
  -v, --verbose                 one line per rollout
  --seed N                      decides every random number of the rollouts (default 0)
  --shuffle, --shuffle-seed N   examples in random order
  --max-retries N               plays again what the model failed (default 3)
  --request-timeout SECONDS     of an endpoint (default 300)
  --stream                      have an endpoint's replies streamed
  --tokens                      save token ids and log-probabilities, where the model knows them
  --output-dir DIR              instead of outputs
  --json                        the run's metadata.json on standard output, nothing else
`;

const OPTIONS = {
  model: { type: 'string', short: 'm' },
  'api-base-url': { type: 'string', short: 'b' },
  'api-key-var': { type: 'string', short: 'k' },
  'num-examples': { type: 'string', short: 'n' },
  'rollouts-per-example': { type: 'string', short: 'r' },
  'max-concurrent': { type: 'string', short: 'c' },
  'max-tokens': { type: 'string', short: 't' },
  temperature: { type: 'string', short: 'T' },
  'env-args': { type: 'string', short: 'a' },
  'sampling-args': { type: 'string', short: 'S' },
  'save-results': { type: 'boolean', short: 's', default: false },
  resume: { type: 'string', short: 'R' },
  verbose: { type: 'boolean', short: 'v', default: false },
  seed: { type: 'string' },
  shuffle: { type: 'boolean', default: false },
  'shuffle-seed': { type: 'string' },
  'max-retries': { type: 'string' },
  'request-timeout': { type: 'string' },
  stream: { type: 'boolean', default: false },
  tokens: { type: 'boolean', default: false },
  'output-dir': { type: 'string', default: 'outputs' },
  json: { type: 'boolean', default: false },
} as const;

/** Stands for "the newest run that fits". */
const NEWEST = 'newest';

/** Makes of upstream's habits what parseArgs takes: `-n -1`, and --resume with or without a run. */
function normalize(args: readonly string[]): string[] {
  const result: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const [arg, next] = [args[i]!, args[i + 1]];
    if ((arg === '-n' || arg === '--num-examples') && next === '-1') {
      result.push('--num-examples=-1');
      i++;
    } else if (arg === '-R' || arg === '--resume') {
      const given = next !== undefined && !next.startsWith('-') && isRun(userPath(next));
      result.push(`--resume=${given ? next : NEWEST}`);
      if (given) i++;
    } else result.push(arg);
  }
  return result;
}

function parse(args: readonly string[]) {
  return parseArgs({ args: normalize(args), allowPositionals: true, options: OPTIONS });
}

type Values = ReturnType<typeof parse>['values'];

export async function evalCommand(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [name, ...more] = positionals;
  if (name === undefined) throw new UsageError('which environment? `terrarium eval --help` lists the options');
  if (isSuite(name)) return evalSuite(name, args);
  if (more.length > 0) throw new UsageError(`one environment at a time: ${positionals.join(', ')}`);
  const envArgs = objectOption('env-args', values['env-args']);
  const { sampling, others } = samplingOption(values);
  const loaded = await loadEnvironment(name, envArgs);
  if (loaded.folder !== undefined) {
    process.stderr.write(`Running the code of ${loaded.folder}, which may do what you may.\n`);
  }
  const labels: RunLabels = {
    envArgs,
    samplingArgs: others,
    ...(loaded.version !== undefined && { envVersion: loaded.version }),
  };
  const baseUrl = values['api-base-url'];
  if (baseUrl !== undefined && values.model === undefined) {
    throw new UsageError('-b needs -m: the name of a model at that endpoint');
  }
  const opened = await openModel({
    environment: name,
    model: values.model ?? 'starter',
    baseUrl,
    apiKeyVariable: values['api-key-var'],
    endpointSampling: others,
    stream: values.stream,
    tokens: values.tokens,
    timeoutSeconds: numberOption(values, 'request-timeout'),
  });
  const controller = new AbortController();
  const interrupt = () => controller.abort(new Error('interrupted'));
  process.once('SIGINT', interrupt);
  try {
    await run(loaded, opened, values, sampling, labels, controller.signal);
  } finally {
    process.removeListener('SIGINT', interrupt);
    opened.close();
  }
}

/** A suite says everything itself. */
async function evalSuite(file: string, args: readonly string[]): Promise<void> {
  const options = { 'output-dir': OPTIONS['output-dir'], json: OPTIONS.json };
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
  if (positionals.length > 1) throw new UsageError(`one suite at a time: ${positionals.join(', ')}`);
  await suiteCommand(file, values['output-dir'], values.json);
}

async function run(
  { env, defaults }: LoadedEnvironment,
  { model, baseUrl }: OpenedModel,
  values: Values,
  sampling: SamplingArgs,
  labels: RunLabels,
  signal: AbortSignal,
): Promise<void> {
  const rolloutsPerExample = numberOption(values, 'rollouts-per-example') ?? defaults.rolloutsPerExample ?? 3;
  const folder = runFolder(values, env.name, model.name, rolloutsPerExample);
  const shown = folder === undefined ? undefined : relative(process.cwd(), folder);
  const title = oneLine(`${env.name} with ${model.name}`, 80);
  const progress = new EvalProgressLine();
  let last: EvalProgress | undefined;
  let evaluation: Evaluation;
  try {
    evaluation = await evaluate(env, model, {
      numExamples: numberOption(values, 'num-examples') ?? defaults.numExamples ?? 5,
      rolloutsPerExample,
      maxConcurrent: numberOption(values, 'max-concurrent') ?? 32,
      seed: numberOption(values, 'seed') ?? 0,
      shuffle: values.shuffle,
      ...optional('shuffleSeed', numberOption(values, 'shuffle-seed')),
      sampling,
      maxRetries: numberOption(values, 'max-retries') ?? 3,
      signal,
      store: folder === undefined ? undefined : diskStore(folder),
      resume: values.resume !== undefined,
      saveTokens: values.tokens,
      labels: { ...labels, baseUrl },
      onResume: ({ kept, failed, dropped }) => {
        const again = `${failed} had failed and run again, ${dropped} unusable lines dropped`;
        progress.say(`Resuming ${shown}: ${kept} rollouts are there, ${again}.`);
      },
      onProgress: (report) => progress.show(title, (last = report)),
      onTrace: (trace) => values.verbose && progress.say(traceLine(trace)),
    });
  } catch (error) {
    progress.end();
    const kept = shown === undefined ? 'Nothing was saved: -s does that.' : `Go on with: --resume ${shown}`;
    const { done = 0, total = 0 } = last ?? {};
    if (last)
      process.stderr.write(
        `${signal.aborted ? 'Interrupted' : 'Stopped'} after ${done} of ${total} rollouts. ${kept}\n`,
      );
    if (!signal.aborted) throw error;
    process.exitCode = 130;
    return;
  }
  progress.end();
  const { summary, metadata } = evaluation;
  if (values.json) process.stdout.write(`${JSON.stringify(metadata)}\n`);
  else process.stdout.write(formatSummary(summary, metadata.terrarium?.weights));
  if (shown !== undefined) process.stderr.write(`Saved to ${shown}\n`);
  if (summary.failed === summary.rollouts) {
    const { error } = evaluation.traces[0]!;
    process.stderr.write(`Every rollout failed; the first one: ${error!.name}: ${oneLine(error!.message, 500)}\n`);
    process.exitCode = 1;
  }
}

function runFolder(values: Values, env: string, model: string, rollouts: number): string | undefined {
  const outputs = userPath(values['output-dir']);
  if (values.resume === undefined) return values['save-results'] ? newRunFolder(outputs, env, model) : undefined;
  if (values.resume !== NEWEST) return userPath(values.resume);
  const folder = latestRun(outputs, env, model, rollouts);
  if (folder === undefined) process.stderr.write('No saved run to go on with: beginning one.\n');
  return folder ?? newRunFolder(outputs, env, model);
}

function numberOption(values: Values, name: keyof Values): number | undefined {
  const text = values[name];
  if (typeof text !== 'string') return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`--${name}: ${text} is no number`);
  return value;
}

function objectOption(name: string, text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--${name}: not JSON (${(error as SyntaxError).message})`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`--${name}: not a JSON object`);
  }
  return value as Record<string, unknown>;
}

/** Settings we know, and those that only an endpoint may know. -t and -T win over -S, and null means the default. */
function samplingOption(values: Values): ReturnType<typeof parseSamplingArgs> {
  const given: Record<string, unknown> = objectOption('sampling-args', values['sampling-args']);
  const [maxTokens, temperature] = [numberOption(values, 'max-tokens'), numberOption(values, 'temperature')];
  const all = {
    ...given,
    ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    ...(temperature !== undefined && { temperature }),
  };
  try {
    return parseSamplingArgs(all);
  } catch (error) {
    throw new UsageError(`--sampling-args: ${(error as TypeError).message}`);
  }
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, V>);
}

/** One rollout on a line. */
export function traceLine(trace: Trace): string {
  const { exampleId, rollout, reward, error, stopCondition, completion } = trace;
  const reply = completion.findLast(({ role }) => role === 'assistant')?.content ?? '';
  const result = error ? `${error.name}: ${oneLine(error.message, 100)}` : `reward ${reward!.toFixed(3)}`;
  return `example ${exampleId}/${rollout}  ${result}  ${stopCondition ?? ''}  ${oneLine(reply, 60)}`.trimEnd();
}
