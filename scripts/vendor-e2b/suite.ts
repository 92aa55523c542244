/** The vendor's test suite in its checkout: which of its files are live, and a bounded run of them. */
import { spawn } from 'node:child_process';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { VitestReport } from './summary.ts';

/** Template builds and other runtimes (browser, Workers) are suites of their own. */
const OTHER_SUITES = /^tests\/(template|runtimes)\//;
const WORKERS = 2;
const KILL_GRACE_MS = 10_000;

export interface VendorSuite {
  packageDir: string;
  version: string;
  /** Relative to packageDir: the files whose tests talk to a service. */
  liveFiles: string[];
}

/** Throws one sentence if the folder is no checkout with its dependencies installed. */
export async function findSuite(checkout: string): Promise<VendorSuite> {
  const packageDir = join(checkout, 'packages/js-sdk');
  const manifest = await readFile(join(packageDir, 'package.json'), 'utf8').catch(() => {
    throw new Error(`${checkout} has no packages/js-sdk: it should be a checkout of the vendor's repository.`);
  });
  await readFile(vitestOf(packageDir)).catch(() => {
    throw new Error(`${packageDir} has no vitest: run pnpm install --filter e2b in the checkout first.`);
  });
  const liveFiles: string[] = [];
  for await (const file of glob('tests/**/*.test.ts', { cwd: packageDir })) {
    if (!OTHER_SUITES.test(file) && isLive(await readFile(join(packageDir, file), 'utf8'))) liveFiles.push(file);
  }
  const { version } = JSON.parse(manifest) as { version: string };
  return { packageDir, version, liveFiles: liveFiles.sort() };
}

/** A test is live if it makes a sandbox and nothing stands in for the network. */
const isLive = (source: string): boolean =>
  /\bsandboxTest\b|\bSandbox\.create\b/.test(source) && !/from 'msw/.test(source);

const vitestOf = (packageDir: string) => join(packageDir, 'node_modules/vitest/vitest.mjs');

export interface Run {
  files: readonly string[];
  env: NodeJS.ProcessEnv;
  reportFile: string;
  deadlineMs: number;
}

/** Runs the files; the suite's own output goes to our stderr. Throws if it leaves no report: it never started, or was too slow. */
export async function runSuite({ packageDir }: VendorSuite, run: Run): Promise<VitestReport> {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${run.reportFile}`];
  const args = ['run', '--project', 'unit', `--maxWorkers=${WORKERS}`, ...reporters, ...run.files];
  const child = spawn(process.execPath, [vitestOf(packageDir), ...args], {
    cwd: packageDir,
    env: run.env,
    stdio: ['ignore', process.stderr, process.stderr],
    // A group of its own, so that its workers end with it.
    detached: true,
  });
  const signalGroup = (signal: NodeJS.Signals) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, signal);
  };
  const deadline = setTimeout(() => signalGroup('SIGTERM'), run.deadlineMs);
  const killer = setTimeout(() => signalGroup('SIGKILL'), run.deadlineMs + KILL_GRACE_MS);
  const interrupt = () => signalGroup('SIGTERM');
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve));
  } finally {
    clearTimeout(deadline);
    clearTimeout(killer);
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
  const report = await readFile(run.reportFile, 'utf8').catch((cause: unknown) => {
    throw new Error(`the suite left no report within ${run.deadlineMs / 60_000} minutes`, { cause });
  });
  return JSON.parse(report) as VitestReport;
}
