/** @file The texts of models: ours, and those of Hugging Face folders. */
export * from './load';
export * from './text';
export * from './tiny';
