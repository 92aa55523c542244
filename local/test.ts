/** `npm test`: what the tests need of this machine, every check, then every test; ends with vitest's own summary. */
import { spawn } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Progress } from './command.ts';
import { provision } from './installation.ts';
import { readOptions } from './options.mjs';
import { projectRoot } from './project.ts';

/** Where .ci/run reads the numbers from. */
const REPORT = join(projectRoot, 'node_modules/.cache/glovebox/test-report.json');
const DEADLINE_MS = 28 * 60_000;

const startedAt = performance.now();
const progress: Progress = (line) => {
  console.log(`[${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)} s] ${line}`);
};

async function runNode(args: readonly string[], signal: AbortSignal): Promise<boolean> {
  const child = spawn(process.execPath, args, { cwd: projectRoot, stdio: 'inherit' });
  // vitest ends its globalSetup's installation at SIGTERM; Ctrl-C reaches it without us.
  const onAbort = () => child.kill('SIGTERM');
  signal.addEventListener('abort', onAbort, { once: true });
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', resolve);
  });
  signal.removeEventListener('abort', onAbort);
  return code === 0 && !signal.aborted;
}

async function main(): Promise<boolean> {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => abort.abort());
  const deadline = setTimeout(() => abort.abort(), DEADLINE_MS);
  await mkdir(dirname(REPORT), { recursive: true });
  await rm(REPORT, { force: true });
  const { redisUrl, dockerSocket } = readOptions([], process.env);
  // The engine is held until the end, so that one that was started for the tests starts only once.
  const engine = await provision({ dataDir: tmpdir(), redisUrl, dockerSocket, progress });
  try {
    progress('checks');
    const checked = await runNode(['scripts/check.ts'], abort.signal);
    if (abort.signal.aborted) return false;
    progress(checked ? 'checks passed; tests' : 'checks FAILED (see above); tests');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`];
    const vitest = join(projectRoot, 'node_modules/vitest/vitest.mjs');
    const tested = await runNode([vitest, 'run', ...reporters, ...process.argv.slice(2)], abort.signal);
    return checked && tested;
  } finally {
    clearTimeout(deadline);
    await engine.release();
  }
}

process.exit((await main()) ? 0 : 1);
