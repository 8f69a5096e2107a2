/** @file Errors of loading, checking and running a model. Each message names the file or tensor and what is wrong. */

/** A checkpoint, config or tokenizer that cannot be used: wrong, cut, hostile or unsupported. Nothing was loaded. */
export class CheckpointError extends Error {
  override name = 'CheckpointError';
}

/** A sequence that does not fit the model's context, or a batch that does not fit what was reserved for it. */
export class ContextLengthError extends Error {
  override name = 'ContextLengthError';
}

/** A chat template that does not render a conversation: the message is its own. */
export class TemplateError extends Error {
  override name = 'TemplateError';
}
