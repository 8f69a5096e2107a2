/** @file The models that can be asked, as a list to choose from. */
import type { ModelRef } from '../../playground_protocol';
import type { ShownRunModel } from '../../models_protocol';
import type { StartChoice } from '../../trainer.svelte';

export interface Choice {
  /** The reference, as a select has it. */
  value: string;
  ref: ModelRef;
  label: string;
}

export interface ChoiceGroup {
  title: string;
  choices: Choice[];
}

/** Models as they lie here come first, then what runs have kept; adapters by what lies below them. */
export function modelChoices(
  isOpen: boolean,
  models: readonly StartChoice[],
  runs: readonly ShownRunModel[],
): ChoiceGroup[] {
  const groups: ChoiceGroup[] = [
    {
      title: 'This run',
      choices: isOpen ? [choice({ kind: 'start' }, 'as it started'), choice({ kind: 'current' }, 'as it is now')] : [],
    },
    { title: 'Models', choices: models.map(({ name }) => choice({ kind: 'model', name }, name)) },
  ];
  for (const base of [...new Set(runs.map((each) => each.base))]) {
    const title = base === null ? 'Runs' : `Adapters of ${base}`;
    const kept = runs.filter((each) => each.base === base);
    groups.push({
      title,
      choices: kept.map(({ run, step }) => choice({ kind: 'run', run, step }, `${run}, step ${step}`)),
    });
  }
  return groups.filter(({ choices }) => choices.length > 0);
}

/** The text that stands for a reference. */
export function valueOf(ref: ModelRef): string {
  return JSON.stringify(ref, Object.keys(ref).sort());
}

function choice(ref: ModelRef, label: string): Choice {
  return { value: valueOf(ref), ref, label };
}
