/** @file Loaded when the library is opened: the build names its chunk after this file. */
export { default as Environments } from './Environments.svelte';
