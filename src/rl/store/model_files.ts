/** @file The model folder of a run at a snapshot. It needs no device: what made the snapshot may be gone. */
import { formatCheckpoint } from '../../model';
import type { Policy } from '../policy';
import type { RunSnapshot } from '../snapshot';
import type { Files } from './checkpoints';

/** Makes the model folder's files from a snapshot. */
export type ModelFolder = (snapshot: RunSnapshot) => Files;

/** Keeps what does not change in a run: configuration and tokenizer. To be called while the device is there. */
export async function modelFolderOf(policy: Policy): Promise<ModelFolder> {
  const unchanged = await policy.export();
  unchanged.delete('model.safetensors');
  return ({ arrays }) =>
    new Map([...unchanged, ...formatCheckpoint(policy.config, policy.weights.split(arrays.parameters!))]);
}
