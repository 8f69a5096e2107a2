/** @file Profiles, loaded once there is a run: the build names their chunk after this file. */
export { default as Profile } from './Profile.svelte';
export { ProfileState } from './profile.svelte';
