/** @file Loaded when a run starts from a model of this browser, or trains an adapter. */
export { default as Method } from './Method.svelte';
