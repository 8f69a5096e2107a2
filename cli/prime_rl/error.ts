/** @file The error of an export that cannot be made. */

/** Something that was asked for cannot be exported; nothing was written. */
export class ExportError extends Error {
  override name = 'ExportError';
}
