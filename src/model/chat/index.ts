/** @file Chat formats, one per model family. */
export * from './format';
export * from './hermes';
export * from './json_call';
export * from './llama3';
export * from './piecewise';
export * from './reply';
export * from './template_messages';
export * from './tiny';
