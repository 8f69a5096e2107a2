/** @file `npm start`: installs what is missing and serves the page. `--no-open` leaves the browser alone. */
import { ROOT, bin, ensurePackages, run, say } from './setup.mjs';

process.chdir(ROOT);
ensurePackages();
const args = process.argv.slice(2).filter((arg) => arg !== '--no-open');
const open = !process.argv.includes('--no-open');
say(open ? 'Opening the page. Stop with Ctrl-C.' : 'Serving the page. Stop with Ctrl-C.');
run(bin('vite'), [...(open ? ['--open'] : []), ...args]);
