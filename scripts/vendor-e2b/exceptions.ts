/** The tests of the vendor's suite that are expected to fail, each with its reason; docs/dialects/e2b.md tells the same. */
import type { Exception } from './summary.ts';

const excepted = (reason: string, file: string, tests: readonly string[]): Exception[] =>
  tests.map((test) => ({ file, test, reason }));

const INTERNET = 'reaches for a host of the public internet, and wants its answer';
const KERNEL = "wants another kernel boot id after a pause without memory: containers share the node's kernel";

export const exceptions: readonly Exception[] = [
  ...excepted(INTERNET, 'tests/sandbox/internetAccess.test.ts', [
    'internet access enabled internet access enabled',
    'internet access default internet access default',
  ]),
  ...excepted(KERNEL, 'tests/sandbox/snapshot.test.ts', [
    'filesystem-only pause reboots on resume but keeps the filesystem',
  ]),
];
