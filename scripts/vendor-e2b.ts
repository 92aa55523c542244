/**
 * `npx node scripts/vendor-e2b.ts <checkout> [--report file.json] [--running] [tests/…]`: the vendor's JavaScript live suite, unmodified,
 * against an installation that is brought up for it. `--running`: against the one that E2B_API_URL and E2B_API_KEY name, which was
 * started with SANDBOX_DOMAIN=sandbox.test:<free port>, told here as E2B_DOMAIN. Exit status 0: nothing failed but what exceptions.ts names.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startInstallation } from '../local/installation.ts';
import { spellKey } from '../local/local-env.ts';
import { findFreePort } from '../local/redis.ts';
import { readOptions } from '../local/options.mjs';
import { ensureLocalKey } from '../local/tenant.ts';
import { exceptions } from './vendor-e2b/exceptions.ts';
import { startHostNames } from './vendor-e2b/host-names.ts';
import { findSuite, runSuite } from './vendor-e2b/suite.ts';
import { renderSummary, summarize } from './vendor-e2b/summary.ts';

const DEADLINE_MS = 25 * 60_000;

/** What the suite reads from its environment. */
type Target = Record<'E2B_API_URL' | 'E2B_SANDBOX_URL' | 'E2B_API_KEY' | 'E2B_DOMAIN', string>;

const cleanups: (() => Promise<unknown>)[] = [];

async function bringUp(dir: string): Promise<{ target: Target; env: Record<string, string> }> {
  const port = await findFreePort();
  const names = await startHostNames(dir, port);
  cleanups.push(() => names.stop());
  const { dockerSocket } = readOptions([], process.env);
  const dataDir = join(dir, 'data');
  const installation = await startInstallation({ dataDir, port, sandboxDomain: names.domain, dockerSocket });
  cleanups.push(() => installation.stop());
  const { url, secrets } = installation;
  const key = spellKey(await ensureLocalKey(url, dataDir, secrets)).e2b;
  const target = { E2B_API_URL: url, E2B_SANDBOX_URL: url, E2B_API_KEY: key, E2B_DOMAIN: names.domain };
  return { target, env: names.env };
}

async function useRunning(dir: string): Promise<{ target: Target; env: Record<string, string> }> {
  const { E2B_API_URL, E2B_SANDBOX_URL = E2B_API_URL, E2B_API_KEY, E2B_DOMAIN } = process.env;
  const port = Number(/^sandbox\.test:(\d+)$/.exec(E2B_DOMAIN ?? '')?.[1] ?? 0);
  if (E2B_API_URL === undefined || E2B_SANDBOX_URL === undefined || E2B_API_KEY === undefined || port === 0) {
    throw new Error('--running needs E2B_API_URL, E2B_API_KEY and E2B_DOMAIN=sandbox.test:<port>');
  }
  const names = await startHostNames(dir, Number(new URL(E2B_SANDBOX_URL).port), port);
  cleanups.push(() => names.stop());
  return { target: { E2B_API_URL, E2B_SANDBOX_URL, E2B_API_KEY, E2B_DOMAIN: names.domain }, env: names.env };
}

async function main(): Promise<boolean> {
  const { values, positionals } = parseArgs({
    options: { report: { type: 'string' }, running: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const [checkout, ...chosen] = positionals;
  if (checkout === undefined)
    throw new Error('usage: npx node scripts/vendor-e2b.ts <checkout> [--report file.json] [--running] [tests/…]');
  const suite = await findSuite(resolve(checkout));
  const files =
    chosen.length === 0
      ? suite.liveFiles
      : suite.liveFiles.filter((file) => chosen.some((each) => file.includes(each)));
  if (files.length === 0) throw new Error('no live test is in a file of that name');
  const dir = await mkdtemp(join(tmpdir(), 'glovebox-vendor-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  const { target, env } = await (values.running ? useRunning(dir) : bringUp(dir));
  const report = await runSuite(suite, {
    files,
    env: { ...process.env, ...target, ...env },
    reportFile: join(dir, 'report.json'),
    deadlineMs: DEADLINE_MS,
  });
  const summary = summarize(report, suite.packageDir, exceptions);
  console.log(`${files.length} files of npm e2b ${suite.version}\n\n${renderSummary(summary)}`);
  if (values.report !== undefined) await writeFile(values.report, `${JSON.stringify(summary, null, 2)}\n`);
  return summary.failures.length === 0 && summary.unknown.length === 0;
}

let passed = false;
try {
  passed = await main();
} finally {
  for (const cleanup of cleanups.toReversed()) await cleanup();
}
process.exit(passed ? 0 : 1);
