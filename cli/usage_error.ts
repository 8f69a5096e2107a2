/** @file The error of a command line that makes no sense. */
export class UsageError extends Error {
  override name = 'UsageError';
}
