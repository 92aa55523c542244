// Plain JavaScript that Node 18 can run: answers what is wrong with the machine before anything newer is loaded.
import { dirname, delimiter } from 'node:path';
import { BadOption } from './options.mjs';
import { findProblems } from './preflight.mjs';

/**
 * Ends the process with status 1, a sentence a problem on stderr, unless all is well.
 * @param {() => Promise<import('./options.mjs').Options | undefined>} readOptions undefined: nothing to check
 */
export async function passPreflight(readOptions) {
  const problems = await readOptions().then(
    (options) => (options === undefined ? [] : findProblems(options)),
    (error) => {
      if (error instanceof BadOption) return [error.message];
      throw error;
    },
  );
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exit(1);
  // Programs that begin with `#!/usr/bin/env node` shall find this Node.
  process.env['PATH'] = dirname(process.execPath) + delimiter + (process.env['PATH'] ?? '');
}
