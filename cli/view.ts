/** @file `terrarium view`: the runs in a folder, and the rollouts of one, on a terminal. */
import { existsSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { emitKeypressEvents } from 'node:readline';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { compareRuns, formatChat, readRun, selectRollouts, summarize } from '../src/envs';
import type { SavedRun, SavedTrace } from '../src/envs';
import { UsageError } from './usage_error';
import { userPath } from './paths';
import { formatComparison, formatSummary } from './report';
import { showTrace } from './show_trace';
import { diskStore, findRuns, isRun } from './store';
import type { FoundRun } from './store';
import { columns, oneLine } from './text';

export const VIEW_USAGE = `terrarium view [folder] [options]

  Without a run: lists the runs in a folder (default outputs). With the folder of a run: its summary, and its rollouts
  one by one; keys: n next, p previous, g followed by a number and Enter to go there, q quit.

  --rollout N           print rollout N (from 1) and stop
  --failed              only rollouts that failed
  --max-reward X        only rollouts with at most this reward
  --min-reward X        only rollouts with at least this reward
  --stop-condition S    only rollouts that ended so
  --compare RUN         the difference to another run: RUN is B, the folder A
  --chat FILE           write the chosen rollouts as chat JSONL for fine-tuning: each reply once, none that failed
`;

export async function viewCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      rollout: { type: 'string' },
      failed: { type: 'boolean', default: false },
      'min-reward': { type: 'string' },
      'max-reward': { type: 'string' },
      'stop-condition': { type: 'string' },
      compare: { type: 'string' },
      chat: { type: 'string' },
    },
  });
  const folder = userPath(positionals[0] ?? 'outputs');
  if (!existsSync(folder)) throw new UsageError(`there is no folder ${folder}`);
  const run = isRun(folder) ? folder : await chooseRun(folder);
  if (run === undefined) return;
  const saved = await readRun(diskStore(run));
  saved.traces.sort((a, b) => a.exampleId - b.exampleId || a.rollout - b.rollout);
  for (const { line, reason } of saved.unreadable) {
    process.stderr.write(`line ${line} cannot be read: ${oneLine(reason, 100)}\n`);
  }
  if (values.compare !== undefined) {
    const other = userPath(values.compare);
    if (!isRun(other)) throw new UsageError(`--compare ${other} is not the folder of a run`);
    process.stdout.write(formatComparison(compareRuns(saved.traces, (await readRun(diskStore(other))).traces)));
    return;
  }
  const [min, max] = [rewardOption(values, 'min-reward'), rewardOption(values, 'max-reward')];
  const stop = values['stop-condition'];
  const chosen = saved.traces.filter(
    ({ error, reward, stopCondition }) =>
      (!values.failed || error !== null) &&
      (min === undefined || (reward !== null && reward >= min)) &&
      (max === undefined || (reward !== null && reward <= max)) &&
      (stop === undefined || stopCondition === stop),
  );
  if (values.chat !== undefined) {
    const selected = selectRollouts(chosen);
    writeFileSync(userPath(values.chat), formatChat(selected));
    process.stderr.write(`${selected.length} conversations written to ${userPath(values.chat)}\n`);
    return;
  }
  const pages = new Pages(saved, chosen);
  if (values.rollout !== undefined) process.stdout.write(pages.show(pages.at(values.rollout)));
  else {
    process.stdout.write(overview(saved));
    if (isInteractive() && chosen.length > 0) await pages.browse();
  }
}

/** Lists runs, the newest last, and asks for one where somebody can answer. */
async function chooseRun(folder: string): Promise<string | undefined> {
  const runs = findRuns(folder);
  if (runs.length === 0) {
    process.stdout.write(`No runs in ${folder}. \`terrarium eval <environment> -s\` saves one.\n`);
    return undefined;
  }
  process.stdout.write(`${columns([HEAD, ...runs.map(runRow)])}\n`);
  if (!isInteractive()) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await lines.question('Number of a run, or Enter to leave: ');
    return runs[Number(answer) - 1]?.folder;
  } finally {
    lines.close();
  }
}

const HEAD = ['#', 'environment', 'model', 'examples', 'reward', 'failed', 'when', 'folder'];

function runRow({ folder, metadata, time }: FoundRun, i: number): string[] {
  return [
    String(i + 1),
    oneLine(metadata.env_id, 30),
    oneLine(metadata.model, 30),
    `${metadata.num_examples} x ${metadata.rollouts_per_example}`,
    metadata.avg_reward?.toFixed(3) ?? '-',
    `${Math.round(100 * metadata.avg_error)}%`,
    new Date(time).toISOString().slice(0, 16).replace('T', ' '),
    relative(process.cwd(), folder),
  ];
}

function overview({ metadata, traces }: SavedRun): string {
  const { env_id: env, model, rollouts_per_example: rolloutsPerExample, pass_threshold: passThreshold } = metadata;
  const total = metadata.num_examples * rolloutsPerExample;
  const unfinished = traces.length < total ? `, ${total - traces.length} still to do` : '';
  const title = `${oneLine(env, 60)} with ${oneLine(model, 60)}: ${traces.length} rollouts${unfinished}\n`;
  return title + formatSummary(summarize(traces, { rolloutsPerExample, passThreshold }), metadata.terrarium?.weights);
}

function isInteractive(): boolean {
  return process.stdin.isTTY && process.stdout.isTTY;
}

function rewardOption(values: Record<string, unknown>, name: string): number | undefined {
  const text = values[name];
  if (typeof text !== 'string') return undefined;
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new UsageError(`--${name}: ${text} is no number`);
  return value;
}

/** Rollouts one by one. */
class Pages {
  #index = 0;

  constructor(
    private readonly run: SavedRun,
    private readonly traces: readonly SavedTrace[],
  ) {}

  /** The index that a number from 1 means. */
  at(text: string): number {
    const index = Number(text) - 1;
    if (Number.isInteger(index) && index >= 0 && index < this.traces.length) return index;
    throw new UsageError(`--rollout ${text}: there are rollouts 1 to ${this.traces.length}`);
  }

  show(index: number, maxLength?: number): string {
    const { metadata } = this.run;
    return showTrace(this.traces[index]!, {
      title: `(${index + 1} of ${this.traces.length})`,
      passThreshold: metadata.pass_threshold,
      ...(metadata.terrarium && { weights: metadata.terrarium.weights }),
      ...(maxLength !== undefined && { maxLength }),
    });
  }

  /** Follows the keys until q or the end of the input. */
  async browse(): Promise<void> {
    const { stdin, stdout } = process;
    emitKeypressEvents(stdin);
    stdin.setRawMode(true);
    stdin.resume();
    const page = () => stdout.write(`\n${this.show(this.#index, 4000)}[n]ext  [p]revious  [g]o to  [q]uit\n`);
    page();
    try {
      await new Promise<void>((done) => {
        let number: string | undefined;
        stdin.on('keypress', (character: string | undefined, key: { name?: string; ctrl?: boolean }) => {
          const step = { n: 1, space: 1, right: 1, p: -1, left: -1 }[key.name ?? ''];
          if (key.name === 'q' || (key.ctrl && key.name === 'c')) return done();
          if (number !== undefined && /^\d$/.test(character ?? '')) number += character;
          else if (number !== undefined && key.name === 'return') {
            this.#move(Number(number) - 1);
            number = undefined;
            page();
          } else if (key.name === 'g') number = '';
          else if (step !== undefined) {
            this.#move(this.#index + step);
            page();
          }
        });
        stdin.once('end', done);
      });
    } finally {
      stdin.setRawMode(false);
      stdin.pause();
    }
  }

  #move(index: number): void {
    this.#index = Math.min(this.traces.length - 1, Math.max(0, index));
  }
}
