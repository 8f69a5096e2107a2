/** @file The comparison of mathematical answers, apart from what a page loads first: most visits need none of it. */
export { scoreMath } from './equal';
