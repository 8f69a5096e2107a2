/** @file Loaded when there are runs to show: the build names its chunk after this file. */
export { default as Runs } from './Runs.svelte';
