/** @file A rubric for answers that are mathematics: 1/2, 0.5 and \frac12 are the same answer. */
import { extractBoxedAnswer } from './math/extract';
import { MaybeThinkParser } from './parsers';
import { Rubric } from './rubric';
import type { RubricOptions } from './rubric';

/**
 * Rewards a response that equals the row's answer mathematically (`correct_answer`). Unless told otherwise the response is
 * what stands in the last \boxed{} after the last </think>, or all that stands there where nothing is boxed.
 */
export class MathRubric extends Rubric {
  constructor({ parser = new MaybeThinkParser({ extract: extractBoxedAnswer }), ...options }: RubricOptions = {}) {
    super({ correct_answer: ({ response, answer }) => scoreMathLazily(response, answer) }, { ...options, parser });
  }
}

/** `scoreMath`, loaded when it is first asked for. */
export async function scoreMathLazily(response: string, answer: string): Promise<number> {
  const { scoreMath } = await import('./math/lazy-equal');
  return scoreMath(response, answer);
}
