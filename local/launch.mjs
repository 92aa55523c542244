// Plain JavaScript that Node 18 can run. Answers what is wrong with the machine before anything newer is loaded, then
// goes on with Node 24, which npm scripts find first in the PATH; an older one hands over to it.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BadOption } from './options.mjs';
import { findNode24, findProblems } from './preflight.mjs';

/**
 * @param {string} program a file of this folder
 * @param {() => Promise<import('./options.mjs').Options | undefined>} readOptions undefined: nothing to check
 */
export async function launch(program, readOptions) {
  const problems = await readOptions().then(
    (options) => (options === undefined ? [] : findProblems(options)),
    (error) => {
      if (error instanceof BadOption) return [error.message];
      throw error;
    },
  );
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exit(1);

  const path = join(dirname(fileURLToPath(import.meta.url)), program);
  const node = findNode24();
  if (node === undefined || node === process.execPath) {
    await import(path);
    return;
  }
  const child = spawn(node, [path, ...process.argv.slice(2)], { stdio: 'inherit' });
  // Ctrl-C reaches the child by itself, as one of the terminal's foreground group; the rest is passed on.
  process.on('SIGINT', () => undefined);
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 143)));
}
