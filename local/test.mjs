// `npm test`
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { passPreflight } from './launch.mjs';
import { readOptions } from './options.mjs';

// Tests bring up installations of their own, each on a free port: an `npm start` beside them is no problem.
await passPreflight(async () => ({
  ...readOptions([], process.env),
  port: 0,
  dataDir: join(tmpdir(), 'glovebox-test'),
}));
await import('./test.ts');
