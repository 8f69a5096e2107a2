/**
 * @file A packed batch: sequences of any lengths one after the other, no padding, and the rows that carry loss.
 *
 * A row is a token whose probability counts. Row r reads the hidden state at `rowToken[r]` and asks for the
 * log-probability of `targets[r]`, the token after it. Rows are grouped by sequence.
 */
import { groupRowsById } from '../kernels';
import type { RowsById } from '../kernels';
import type { ModelConfig } from './config';
import { ContextLengthError } from './errors';

/** One token sequence to train on. */
export interface TrainingSequence {
  /** Token ids, prompt and all turns. */
  ids: ArrayLike<number>;
  /** 1 where the token at this index carries loss; index 0 cannot (nothing predicts it). */
  mask: ArrayLike<number>;
  /** Per token, read where mask is 1: log-probability under the policy that sampled it. */
  oldLogprobs?: ArrayLike<number> | undefined;
  /** Per token: log-probability under the reference or teacher. */
  referenceLogprobs?: ArrayLike<number> | undefined;
  /** One number, or one per token. */
  advantage?: number | ArrayLike<number> | undefined;
}

export interface PackedBatch {
  tokens: number;
  rows: number;
  sequences: number;
  ids: Uint32Array<ArrayBuffer>;
  positions: Uint32Array<ArrayBuffer>;
  sequenceBegin: Uint32Array<ArrayBuffer>;
  sequenceEnd: Uint32Array<ArrayBuffer>;
  rowsById: RowsById;
  rowToken: Uint32Array<ArrayBuffer>;
  /** [tokens]: the row read at this token, or NO_ROW. */
  slot: Uint32Array<ArrayBuffer>;
  targets: Uint32Array<ArrayBuffer>;
  /** [rows, 3]: old log-probability, reference log-probability, advantage. */
  behaviour: Float32Array<ArrayBuffer>;
  /** [sequences + 1] */
  rowBegin: Uint32Array<ArrayBuffer>;
  /** Query-key pairs of the attention. */
  pairs: number;
}

export const NO_ROW = 0xffffffff;

/**
 * Packs sequences in the order given.
 * @throws ContextLengthError for a sequence longer than the context, RangeError for an id outside the vocabulary
 */
export function packSequences(sequences: readonly TrainingSequence[], config: ModelConfig): PackedBatch {
  const tokens = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
  const ids = new Uint32Array(tokens);
  const positions = new Uint32Array(tokens);
  const sequenceBegin = new Uint32Array(tokens);
  const sequenceEnd = new Uint32Array(tokens);
  const slot = new Uint32Array(tokens).fill(NO_ROW);
  const rowToken: number[] = [];
  const targets: number[] = [];
  const behaviour: number[] = [];
  const rowBegin = [0];
  let begin = 0;
  let pairs = 0;
  sequences.forEach((sequence, index) => {
    const { length } = sequence.ids;
    if (length > config.maxPositions) {
      throw new ContextLengthError(
        `sequence ${index} has ${length} tokens; this model's context is ${config.maxPositions}`,
      );
    }
    if (sequence.mask.length !== length) throw new RangeError(`sequence ${index}: mask has another length than ids`);
    for (let i = 0; i < length; i++) {
      const id = sequence.ids[i]!;
      if (!(Number.isInteger(id) && id >= 0 && id < config.vocabSize)) {
        throw new RangeError(
          `sequence ${index}, token ${i}: id ${id} is outside the vocabulary of ${config.vocabSize}`,
        );
      }
      ids[begin + i] = id;
      positions[begin + i] = i;
      sequenceBegin[begin + i] = begin;
      sequenceEnd[begin + i] = begin + length;
      if (!sequence.mask[i]) continue;
      if (i === 0) throw new RangeError(`sequence ${index}: its first token cannot carry loss`);
      slot[begin + i - 1] = rowToken.length;
      rowToken.push(begin + i - 1);
      targets.push(id);
      const { advantage = 0 } = sequence;
      behaviour.push(
        sequence.oldLogprobs?.[i] ?? 0,
        sequence.referenceLogprobs?.[i] ?? 0,
        typeof advantage === 'number' ? advantage : advantage[i]!,
      );
    }
    begin += length;
    pairs += (length * (length + 1)) / 2;
    rowBegin.push(rowToken.length);
  });
  return {
    tokens,
    rows: rowToken.length,
    sequences: sequences.length,
    ids,
    positions,
    sequenceBegin,
    sequenceEnd,
    rowsById: groupRowsById(ids, config.vocabSize),
    rowToken: Uint32Array.from(rowToken),
    slot,
    targets: Uint32Array.from(targets),
    behaviour: Float32Array.from(behaviour),
    rowBegin: Uint32Array.from(rowBegin),
    pairs,
  };
}

/** Consecutive runs of sequences of at most `limit` tokens each. A longer single sequence stands alone. */
export function splitByTokens(sequences: readonly TrainingSequence[], limit: number): TrainingSequence[][] {
  const parts: TrainingSequence[][] = [];
  let tokens = Infinity;
  for (const sequence of sequences) {
    if (tokens + sequence.ids.length > limit) {
      parts.push([]);
      tokens = 0;
    }
    parts.at(-1)!.push(sequence);
    tokens += sequence.ids.length;
  }
  return parts;
}
