/** The tests of the vendor's suite that are expected to fail, each with its reason; docs/dialects/e2b.md tells the same. */
import type { Exception } from './summary.ts';

const excepted = (reason: string, file: string, tests: readonly string[]): Exception[] =>
  tests.map((test) => ({ file, test, reason }));

const BOOT_ID = 'wants another boot id, and containers share the node’s kernel';
const SOME_HOSTS = 'wants an answer of 1.1.1.1 or 8.8.8.8';

export const exceptions: readonly Exception[] = [
  ...excepted('wants an answer from the public internet', 'tests/sandbox/internetAccess.test.ts', [
    'internet access enabled internet access enabled',
    'internet access default internet access default',
  ]),
  ...excepted(SOME_HOSTS, 'tests/sandbox/network.test.ts', [
    'allow only 1.1.1.1 allow specific IP with deny all traffic',
    'deny specific IP address deny specific IP address',
    'allow takes precedence over deny allow takes precedence over deny',
    'updateNetwork applies new egress rules denies a previously reachable IP after update',
    'updateNetwork clears existing rules when fields are omitted omitting fields replaces all egress rules',
  ]),
  ...excepted(
    'rules that change headers, and a template of the vendor’s: second half',
    'tests/sandbox/network.test.ts',
    ['firewall transform injects headers injected header is reflected by the httpbin sidecar'],
  ),
  ...excepted(BOOT_ID, 'tests/sandbox/snapshot.test.ts', [
    'filesystem-only pause reboots on resume but keeps the filesystem',
  ]),
  ...excepted(BOOT_ID, 'tests/sandbox/lifecyclePayload.test.ts', ['filesystem-only auto-pause reboots on connect']),
];
