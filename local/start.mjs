// `npm start`. Plain JavaScript that Node 18 can run: answers what is wrong before anything newer is loaded, then goes
// on with Node 24, which npm scripts find first in the PATH; another Node hands over to it.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNode24, passPreflight } from './preflight.mjs';

const main = join(dirname(fileURLToPath(import.meta.url)), 'main.ts');
const args = process.argv.slice(2);

const major = Number(process.versions.node.split('.')[0]);
const { readRunning } = major >= 24 ? await import('./running.ts') : { readRunning: undefined };
const running = await readRunning?.(args);
if (running !== undefined) {
  console.error(running);
  process.exit(1);
}
await passPreflight(args);
const node = findNode24();
if (node === process.execPath || node === undefined) {
  await import(main);
} else {
  const child = spawn(node, [main, ...args], { stdio: 'inherit' });
  // Ctrl-C reaches the child by itself, as one of the terminal's foreground group; the rest is passed on.
  process.on('SIGINT', () => undefined);
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 128 + 15)));
}
