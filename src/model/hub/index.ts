/** @file Models of the Hugging Face hub, or of a mirror: their names, their download, and the cache they are kept in. */
export { DEFAULT_ENDPOINT, DEFAULT_REVISION, HUB_PREFIX, parseModelAddress } from './address';
export type { ModelAddress } from './address';
export { deleteCached, findCached, listCached, openCached } from './cache';
export type { CachedModel } from './cache';
export type { HubOptions } from './client';
export { HubError } from './errors';
export type { HubErrorName } from './errors';
export { inspectModel } from './inspect';
export type { InspectedModel } from './inspect';
export { downloadModel, openModelOf } from './models';
export type { DownloadOptions } from './models';
export type { ModelProgress } from './progress';
