/** @file Where the repository lies, and what a path that the user typed means. */
import { resolve } from 'node:path';

/** The repository's folder: scripts run there. */
export const ROOT = process.env.TERRARIUM_ROOT ?? process.cwd();

/** The folder that the user was in: npm, and scripts/terrarium.mjs, change to the repository's first. */
const USER_FOLDER = process.env.INIT_CWD ?? process.cwd();

/** A path as typed. */
export function userPath(path: string): string {
  return resolve(USER_FOLDER, path);
}
