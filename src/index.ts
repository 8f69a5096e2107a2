/**
 * @file Terrarium as a library: everything that the page and the command line are made of.
 *
 * Layers, each of which imports only those before it: kernels; model (kernels); envs (nothing); rl (all three).
 */
export * from './envs';
export * from './kernels';
export * from './model';
export * from './random';
export * from './rl';
