/** @file What a diagnosis says: why a run does not learn, which setting to change and to what, and the figures behind it. */

/**
 * Every fault that is looked for, the gravest first: of several open at once the first is the likeliest cause, and those
 * after it may be its consequences (a policy that fell apart also finds every task too hard).
 */
export const FINDING_KINDS = [
  'not-finite',
  'model-failed',
  'reward-errors',
  'truncation',
  'length',
  'misleading-reward',
  'mismatch',
  'reference-kl',
  'gradient-spikes',
  'reward-collapse',
  'entropy-collapse',
  'entropy-bonus',
  'memorisation',
  'too-easy',
  'too-hard',
  'too-alike',
] as const;

export type FindingKind = (typeof FINDING_KINDS)[number];

/** A setting to change: `set grpo.lr to 0.0005 (now 0.006)`. */
export interface SettingAdvice {
  /** As in `--set`. */
  key: string;
  /** The value the run has; null where none is set. */
  now: unknown;
  /** The value to try; null: take the setting out, so that its default holds. */
  to: unknown;
}

/** What a rule sees at one step. */
export interface Symptom {
  /** What is wrong and why that keeps the run from learning. */
  message: string;
  /** In the order to try them. */
  settings: SettingAdvice[];
  /** What to do where no setting mends it, or beside them; '' where the settings say it all. */
  remedy?: string;
  /** The figures that it goes by, and the thresholds they crossed. */
  evidence: Record<string, number>;
  /** Step at which it began, where that is earlier than the step that showed it. */
  since?: number;
}

/** A fault that a run shows. */
export interface Finding extends Required<Symptom> {
  kind: FindingKind;
  title: string;
  /** Step at which it first showed. */
  since: number;
}

/** A finding that appeared, or is over. */
export interface Diagnosis extends Finding {
  event: 'diagnosis';
  state: 'found' | 'over';
  /** The step after which it was said. */
  step: number;
}

/** The few words a finding is known by. */
export const TITLES: Record<FindingKind, string> = {
  'not-finite': 'Not a number',
  'model-failed': 'The model no longer answers',
  'reward-errors': 'Reward functions fail',
  truncation: 'Replies are cut off',
  length: 'Replies grow and get no better',
  'misleading-reward': 'The reward misleads',
  mismatch: 'The policy leaves the rollouts behind',
  'reference-kl': 'Far from the reference',
  'gradient-spikes': 'Gradient spikes',
  'reward-collapse': 'The reward collapsed',
  'entropy-collapse': 'Entropy collapsed',
  'entropy-bonus': 'The entropy bonus wins',
  memorisation: 'Memorised, not learned',
  'too-easy': 'Too easy: nothing to learn from',
  'too-hard': 'Too hard: nothing to learn from',
  'too-alike': 'Rollouts of a prompt are all alike',
};

/** One piece of advice in words. */
export function adviceText({ key, now, to }: SettingAdvice): string {
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  const present = now === undefined || now === null ? 'now unset' : `now ${text(now)}`;
  return to === null ? `remove ${key} (${present})` : `set ${key} to ${text(to)} (${present})`;
}

/** All that a finding advises, as one sentence. */
export function remedyText({ settings, remedy = '' }: Pick<Symptom, 'settings' | 'remedy'>): string {
  const settled = settings.map(adviceText).join('; or ');
  const sentence = settled && `${settled[0]!.toUpperCase()}${settled.slice(1)}.`;
  return [sentence, remedy].filter(Boolean).join(' ');
}
