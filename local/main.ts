/** `npm start`: one installation in the foreground, until Ctrl-C or SIGTERM. */
import { delimiter, join } from 'node:path';
import { startInstallation, AlreadyRunning, type Installation } from './installation.ts';
import { LOCAL_ENV, spellKey, writeLocalEnv } from './local-env.ts';
import { readOptions } from './options.mjs';
import { exists } from './packages.ts';
import { ensureLocalKey } from './tenant.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const startedAt = performance.now();
const elapsed = () => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`.padStart(7);
const progress = (line: string) => console.log(`[${elapsed()}] ${line}`);

/** Ctrl-C arrives twice: from the terminal, and passed on by npm. */
const SAME_SIGNAL_MS = 1_000;

/** Resolves at the first signal; at the second the process ends at once, and its children by themselves. */
function watchSignals(abort: AbortController): Promise<void> {
  return new Promise((resolve) => {
    let askedAt: number | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      if (askedAt !== undefined && performance.now() - askedAt < SAME_SIGNAL_MS) return;
      if (askedAt !== undefined) {
        console.error('Stopped at once; what is left is removed by the next start.');
        process.exit(130);
      }
      askedAt = performance.now();
      progress(`${signal}: stopping (once more: at once)`);
      abort.abort(new Error(`stopped by ${signal}`));
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
  });
}

/** A bare Debian has none. */
async function hasCurl(): Promise<boolean> {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const found = await Promise.all(folders.map((folder) => exists(join(folder, 'curl'))));
  return found.includes(true);
}

async function announce({ url, dataDir, engine }: Installation, key: string): Promise<void> {
  const keys = spellKey(key);
  const { version, userNamespaces } = await engine.describe();
  const runtime = process.env['GLOVEBOX_RUNTIME'] ?? 'runc';
  const kernel = runtime === 'runc' ? "sharing this machine's kernel" : `isolated as ${runtime} does it`;
  const auth = `-H 'Authorization: Bearer ${keys.native}'`;
  const json = `-H 'Content-Type: application/json'`;
  const tour = `npm run demo -- --data-dir '${dataDir}'`;
  const create = `curl -s ${url}/v1/sandboxes ${auth} ${json} -d '{"template":"base"}'`;
  const run = `curl -s ${url}/v1/sandboxes/$id/exec ${auth} ${json} -d '{"command":"uname -a; id"}'`;
  const pasted = `id=$(${create} | sed -E 's/.*"id":"([0-9a-f]{32})".*/\\1/'); ${run}`;
  console.log(`
Glovebox is ready after ${elapsed().trim()}: ${url}

  API key    ${keys.native}
    as E2B   ${keys.e2b}
    Acontext ${keys.acontext}
    Sandbase ${keys.sandbase}
  for shells . ${dataDir}/${LOCAL_ENV}
  isolation  containers by ${runtime} (Docker ${version}), ${kernel}; user namespaces ${userNamespaces ? 'on' : 'off'}

Try it:

  ${(await hasCurl()) ? pasted : tour}

Ctrl-C stops it.`);
}

/** The messages of an error and its causes; a stack would tell a user nothing. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const causes = [error.cause, ...(error instanceof AggregateError ? (error.errors as unknown[]) : [])];
  return [error.message, ...causes.filter((cause) => cause !== undefined).map(explain)].join('\n  because: ');
}

async function main(): Promise<number> {
  const abort = new AbortController();
  const stopAsked = watchSignals(abort);
  let installation: Installation;
  try {
    const options = readOptions(process.argv.slice(2), process.env);
    installation = await startInstallation({ ...options, progress, signal: abort.signal });
  } catch (error) {
    if (abort.signal.aborted) return 0;
    console.error(error instanceof AlreadyRunning ? error.message : `Glovebox could not be started: ${explain(error)}`);
    return 1;
  }
  try {
    const key = await ensureLocalKey(installation.url, installation.dataDir, installation.secrets);
    await writeLocalEnv(installation.dataDir, installation.url, key);
    await announce(installation, key);
    await stopAsked;
  } finally {
    await installation.stop();
  }
  progress('stopped');
  return 0;
}

process.exit(await main());
