/** @file ONNX models through transformers.js. */
export * from './client';
export type * from './engine';
export * from './files';
export * from './load';
export * from './prompt';
export * from './sample';
