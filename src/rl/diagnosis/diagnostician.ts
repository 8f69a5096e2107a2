/**
 * @file Listens to a run and says in words why it does not learn.
 *
 * A finding is told once when it is confirmed and once when it is over; between the two its figures are kept up to date and
 * nothing is said. Pure: the same reports give the same findings, with or without a model at hand.
 */
import type { TrainConfig } from '../config';
import type { StepReport } from '../report';
import { failureSymptom } from './failure';
import { FINDING_KINDS, TITLES } from './finding';
import type { Diagnosis, Finding, FindingKind, Symptom } from './finding';
import { History } from './history';
import type { EvalRecord } from './history';
import { RULES } from './rules';
import { STEPS_OF_QUIET, STEPS_UNTIL_OVER } from './rule';
import type { Rule } from './rule';

/** What it listens to; other events of a run pass it by. */
export type Observed = ({ event: 'step' } & StepReport) | ({ event: 'eval' } & EvalRecord) | { event: string };

/** What a rule said so far. */
interface Memory {
  /** Bad verdicts in a row, and the step of the first of them. */
  bad: number;
  badSince: number;
  well: number;
  finding: Finding | undefined;
  /** Step at which it was last over. */
  overAt: number;
}

export interface DiagnosticianOptions {
  /** Names of the metrics that nothing is rewarded for: Rubric.metricNames. */
  metrics?: readonly string[];
}

export class Diagnostician {
  #history: History;
  readonly #memories = new Map<FindingKind, Memory>();

  constructor(
    private readonly config: TrainConfig,
    private readonly options: DiagnosticianOptions = {},
  ) {
    this.#history = new History(config, options.metrics ?? []);
  }

  /** What is wrong now, the likeliest cause first. */
  get findings(): Finding[] {
    return FINDING_KINDS.flatMap((kind) => this.#memories.get(kind)?.finding ?? []);
  }

  /**
   * Takes the next event of the run.
   * @returns what is to be told: findings that appeared and findings that are over
   */
  observe(event: Observed): Diagnosis[] {
    if (isEval(event)) this.#history.evals.push({ step: event.step, result: event.result });
    if (!isStep(event)) return [];
    this.#history.steps.push(event);
    return RULES.flatMap((rule) => this.#judge(rule, event.step));
  }

  /** The run ended with an error: why, where the run itself is to blame. */
  fail(error: Error): Diagnosis[] {
    const failure = failureSymptom(error, this.config);
    if (!failure) return [];
    const step = (this.#history.steps.at(-1)?.step ?? 0) + 1;
    const finding = findingOf(failure.kind, failure.symptom, step);
    this.#memories.set(failure.kind, { bad: 1, badSince: step, well: 0, finding, overAt: -Infinity });
    return [{ event: 'diagnosis', state: 'found', step, ...finding }];
  }

  /** The run was taken back: what came after that step did not happen. */
  goBack(step: number): void {
    const { steps, evals } = this.#history;
    this.#history = new History(this.config, this.options.metrics ?? []);
    this.#memories.clear();
    // In the order in which they were reported: the eval of a step after the step.
    const kept = [
      ...steps.map((report) => ({ event: 'step' as const, ...report })),
      ...evals.map((record) => ({ event: 'eval' as const, ...record })),
    ].filter((event) => event.step <= step);
    kept.sort((a, b) => a.step - b.step || Number(a.event === 'eval') - Number(b.event === 'eval'));
    for (const event of kept) this.observe(event);
  }

  #judge(rule: Rule, step: number): Diagnosis[] {
    const memory = this.#memoryOf(rule.kind);
    const verdict = rule.look(this.#history);
    if (verdict === 'well') {
      memory.bad = 0;
      memory.well++;
      return memory.finding && memory.well >= STEPS_UNTIL_OVER ? this.#close(memory, step) : [];
    }
    memory.well = 0;
    if (verdict === 'unclear') {
      memory.bad = 0;
      return [];
    }
    if (memory.bad++ === 0) memory.badSince = step;
    if (memory.finding) {
      memory.finding = findingOf(rule.kind, verdict, memory.finding.since);
      return [];
    }
    // What comes and goes must stay before it is told again.
    const patience = step - memory.overAt < STEPS_OF_QUIET ? STEPS_OF_QUIET : rule.confirm;
    if (memory.bad < patience) return [];
    memory.finding = findingOf(rule.kind, verdict, memory.badSince);
    return [{ event: 'diagnosis', state: 'found', step, ...memory.finding }];
  }

  #close(memory: Memory, step: number): Diagnosis[] {
    const finding = memory.finding!;
    memory.finding = undefined;
    memory.overAt = step;
    return [{ event: 'diagnosis', state: 'over', step, ...finding }];
  }

  #memoryOf(kind: FindingKind): Memory {
    let memory = this.#memories.get(kind);
    if (!memory) {
      memory = { bad: 0, badSince: 0, well: 0, finding: undefined, overAt: -Infinity };
      this.#memories.set(kind, memory);
    }
    return memory;
  }
}

function findingOf(kind: FindingKind, symptom: Symptom, since: number): Finding {
  return { kind, title: TITLES[kind], since, remedy: '', ...symptom } satisfies Finding;
}

function isStep(event: Observed): event is { event: 'step' } & StepReport {
  return event.event === 'step';
}

function isEval(event: Observed): event is { event: 'eval' } & EvalRecord {
  return event.event === 'eval';
}
