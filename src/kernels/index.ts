/** @file What the rest of Terrarium uses of the GPU. */
export * from './adamw';
export * from './attention';
export * from './dropout';
export * from './embedding';
export * from './errors';
export * from './gpu';
export * from './logprob';
export * from './matmul';
export * from './measure';
export * from './ownership';
export * from './policy_loss';
export * from './program';
export * from './rmsnorm';
export * from './rope';
export * from './sample';
export * from './swiglu';
export * from './tensor';
export { kernel } from './kernel';
