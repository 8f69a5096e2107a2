/** @file Models and conversations, loaded once the page is there: the build names their chunk after this file. */
export { default as Models } from './Models.svelte';
export { default as Playground } from '../playground/Playground.svelte';
export { ModelsState } from './models.svelte';
export { PlaygroundState } from '../playground/playground.svelte';
