/** @file What the worker asks about models before any was asked for: the code for them is loaded with the first question. */
import type { FileSource } from '../../../src/model';
import type { ModelsRequest } from '../../models_protocol';
import type { Models, ModelsHost } from './lazy-models';

export class ModelsDesk {
  #models: Promise<Models> | undefined;

  constructor(private readonly host: ModelsHost) {}

  get models(): Promise<Models> {
    return (this.#models ??= import('./lazy-models').then(({ Models }) => new Models(this.host)));
  }

  async receive(request: ModelsRequest): Promise<void> {
    await (await this.models).receive(request);
  }

  /** The folder of a model by the name that settings have for it. */
  async folder(name: string): Promise<FileSource> {
    return (await this.models).folder(name);
  }
}
