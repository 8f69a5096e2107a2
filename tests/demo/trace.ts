/** @file Rollouts for tests that only look at them. */
import type { Trace } from '../../src/envs';

/** A rollout that sampled these tokens, each with probability 1/2. */
export function traceOf(completionIds: number[], changes: Partial<Trace> = {}): Trace {
  const logprobs = completionIds.map(() => Math.log(0.5));
  const span = { start: 0, end: 0 };
  return {
    environment: 'mine',
    task: '',
    taskKey: '',
    exampleId: 0,
    draw: 0,
    rollout: 0,
    prompt: [{ role: 'user', content: 'abc' }],
    completion: [{ role: 'assistant', content: 'cba' }],
    answer: 'cba',
    info: {},
    tools: [],
    turns: [{ promptMessages: 1, finishReason: 'stop', span, tokens: { promptIds: [], completionIds, logprobs } }],
    reward: 1,
    metrics: {},
    advantage: 0.5,
    stopCondition: null,
    isTruncated: false,
    error: null,
    timing: { setup: span, generation: span, scoring: span, environment: [] },
    ...changes,
  };
}
