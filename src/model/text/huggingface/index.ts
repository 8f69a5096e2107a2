/** @file The text of models in Hugging Face folders: tokenizer.json and a chat template. Loaded lazily, by `loadText`. */
export * from './chat';
export * from './disguise';
export * from './load';
export * from './template';
export * from './tokenizer';
