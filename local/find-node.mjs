// Plain JavaScript that Node 18 can run. Prints the path of the Node that npm scripts go on with: the pinned one of
// node_modules (npm 10 does not link it into .bin), else the one that runs this, whose age the preflight then judges.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pinned = join(root, `node_modules/node-linux-${process.arch}/bin/node`);

console.log(existsSync(pinned) ? pinned : process.execPath);
