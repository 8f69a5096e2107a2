/**
 * @file Tasks. A dataset hands out rows by index; it may be infinite, since a row is a function of its index. Nothing is
 * loaded before it is asked for.
 */
import type { Message } from './types';

/** One task as its author writes it: a `question` or a whole `prompt`, and what the rewards need. */
export interface TaskRow {
  prompt?: Message[];
  question?: string;
  answer?: string;
  info?: Record<string, unknown>;
  /** Which environment of a group this row belongs to. */
  task?: string;
  /** Further columns reach reward functions under their names. */
  [column: string]: unknown;
}

/** A row with its place in the dataset. */
export interface Example extends TaskRow {
  /** Index in the dataset. */
  exampleId: number;
}

export interface Dataset {
  /** Infinity for generated datasets without an end. */
  readonly length: number;
  row(index: number): TaskRow | Promise<TaskRow>;
}

/** A dataset that lacks something, named by row and column. */
export class DatasetError extends Error {
  override name = 'DatasetError';
}

/** A dataset of given rows. */
export function rows(list: readonly TaskRow[]): Dataset {
  return { length: list.length, row: (index) => list[index]! };
}

/** A dataset whose rows are made when asked for; the same index must always give the same row. */
export function generated(row: (index: number) => TaskRow | Promise<TaskRow>, length = Infinity): Dataset {
  return { length, row };
}

/**
 * Fetches and checks one row.
 * @throws DatasetError naming row and column
 */
export async function exampleAt(dataset: Dataset, index: number): Promise<Example> {
  if (!Number.isInteger(index) || index < 0 || index >= dataset.length) {
    throw new DatasetError(`row ${index} of a dataset of ${dataset.length}`);
  }
  const row: unknown = await dataset.row(index);
  if (typeof row !== 'object' || row === null) throw new DatasetError(`row ${index} is not an object`);
  const { prompt, question, answer } = row as TaskRow;
  if (prompt === undefined && question === undefined) {
    throw new DatasetError(`row ${index} has neither column "question" nor column "prompt"`);
  }
  if (question !== undefined && typeof question !== 'string') {
    throw new DatasetError(`row ${index}, column "question": ${typeof question} instead of text`);
  }
  if (prompt !== undefined && !isMessageList(prompt)) {
    throw new DatasetError(`row ${index}, column "prompt": not a list of messages with role and content`);
  }
  if (answer !== undefined && typeof answer !== 'string') {
    throw new DatasetError(`row ${index}, column "answer": ${typeof answer} instead of text`);
  }
  return { ...(row as TaskRow), exampleId: index };
}

function isMessageList(value: unknown): value is Message[] {
  return (
    Array.isArray(value) &&
    value.every((message) => {
      const { role, content } = (message ?? {}) as Partial<Message>;
      return typeof role === 'string' && typeof content === 'string';
    })
  );
}
