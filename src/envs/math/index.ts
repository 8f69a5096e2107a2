/** @file Mathematical answers: finding them in text, and comparing what they mean. */
export { mathEqual, scoreMath } from './equal';
export * from './extract';
