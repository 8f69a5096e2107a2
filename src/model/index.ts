/** @file Transformers: configuration, weights, checkpoints, training and generation. */
export * from './batch';
export * from './checkpoint';
export * from './config';
export * from './errors';
export * from './init';
export * from './lora';
export * from './optimizer';
export * from './parameters';
export * from './safetensors';
export * from './train_program';
export * from './weights';
export * from './chat';
export * from './client';
export * from './generator';
export * from './text';
export * from './tokenizer';
export * from './transformers';
