/** @file What ends a run: each its own class, so that callers can tell them apart. */

/** The gradient is not a number any more: nothing was changed, the run stops at the last good state. */
export class NonFiniteUpdateError extends Error {
  override name = 'NonFiniteUpdateError';
}

/** Settings that do not fit the model or the environment they are for. */
export class UnfitConfigError extends Error {
  override name = 'UnfitConfigError';
}

/** A function that the user passed gave something that cannot be trained on. */
export class CustomFunctionError extends Error {
  override name = 'CustomFunctionError';
}

/** There is no starter for this environment. */
export class NoStarterError extends Error {
  override name = 'NoStarterError';
}
