/** @file Export to verifiers and prime-rl. */
export * from './config';
export * from './error';
export * from './export';
