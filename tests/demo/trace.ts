/** @file Rollouts for tests that only look at them. */
import type { Trace } from '../../src/envs';

/** A rollout that sampled these tokens, each with probability 1/2. */
export function traceOf(completionIds: number[], changes: Partial<Trace> = {}): Trace {
  const logprobs = completionIds.map(() => Math.log(0.5));
  return {
    environment: 'mine',
    exampleId: 0,
    draw: 0,
    rollout: 0,
    prompt: [{ role: 'user', content: 'abc' }],
    completion: [],
    answer: 'cba',
    info: {},
    turns: [
      { promptMessages: 1, finishReason: 'stop', seconds: 0, tokens: { promptIds: [], completionIds, logprobs } },
    ],
    reward: 1,
    metrics: {},
    advantage: 0.5,
    stopCondition: null,
    isTruncated: false,
    error: null,
    timing: { generationSeconds: 0, scoringSeconds: 0 },
    ...changes,
  };
}
