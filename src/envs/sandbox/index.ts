/** @file Sandboxes: JavaScript that a model wrote, run where it can do no harm. */
export { SANDBOX_MEMORY_BYTES } from './images';
export * from './protocol';
export * from './sandbox';
export * from './text';
export * from './worker';
