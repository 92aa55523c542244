// Plain JavaScript that Node 18 can run: who holds a mutex (see mutex.ts, which takes them).
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { connect } from 'node:net';

const INTRODUCTION_DEADLINE_MS = 2_000;

/**
 * The abstract Unix socket that stands for the mutex.
 * @param {string} name
 */
export function mutexAddress(name) {
  return `\0glovebox/${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
}

/**
 * What the holder says of itself; undefined if nobody holds it.
 * @param {string} name
 * @returns {Promise<string | undefined>}
 */
export function readHolder(name) {
  return new Promise((resolve) => {
    const socket = connect(mutexAddress(name));
    const end = (/** @type {string | undefined} */ answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(INTRODUCTION_DEADLINE_MS, () => end(''));
    socket.once('error', () => end(undefined));
    socket.once('close', () => end(undefined));
    socket.once('data', (chunk) => end(chunk.toString('utf8').trim()));
  });
}

/** @param {string} dataDir that exists */
export function installationMutex(dataDir) {
  return `installation ${realpathSync(dataDir)}`;
}

/**
 * One sentence on the installation that runs in a data dir; undefined if none does.
 * @param {string} dataDir
 */
export async function describeRunning(dataDir) {
  let name;
  try {
    name = installationMutex(dataDir);
  } catch {
    return undefined;
  }
  const holder = await readHolder(name);
  if (holder === undefined) return undefined;
  const { pid, url } = holder === '' ? { pid: 'unknown', url: 'an unknown address' } : JSON.parse(holder);
  return `Glovebox runs already in ${dataDir}: ${url} (pid ${pid}); its keys are in ${dataDir}/local.env.`;
}
