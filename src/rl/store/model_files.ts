/** @file The model folder of a run at a snapshot. It needs no device: what made the snapshot may be gone. */
import type { Policy } from '../policy';
import type { RunSnapshot } from '../snapshot';
import type { Files } from './checkpoints';

/** Makes the model folder's files, or the adapter's, from a snapshot. */
export type ModelFolder = (snapshot: RunSnapshot) => Files;

/** What is trained lies in a snapshot; all else is the policy's and does not change. */
export function modelFolderOf(policy: Policy): ModelFolder {
  return ({ arrays }) => policy.files(policy.trainable.split(arrays.parameters!));
}
