/** @file How well a model's text follows its chat format where it calls tools: a graded score for rubrics. */
import type { Message, ParseIssue } from './types';

const GRADES: Readonly<Record<ParseIssue['severity'], number>> = { repaired: 0.5, malformed: 0 };

/**
 * Mean grade of all tool calls of a completion: 1 for one that could be read as it stands, 0.5 for one that had to be
 * understood generously, 0 for one that could not be read.
 * @returns null where nothing was called
 */
export function toolCallScore(completion: readonly Message[]): number | null {
  const grades = completion.flatMap(({ toolCalls = [], issues = [] }) =>
    toolCalls.map(({ id }) =>
      issues
        .filter(({ toolCallId }) => toolCallId === id)
        .reduce((grade, { severity }) => Math.min(grade, GRADES[severity]), 1),
    ),
  );
  return grades.length === 0 ? null : grades.reduce((sum, grade) => sum + grade, 0) / grades.length;
}
