/** @file The texts of models: ours, and those of Hugging Face folders. */
export * from './load';
export * from './pieces';
export * from './text';
export * from './tiny';
