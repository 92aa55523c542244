/** Bounds what an installation's log files take of the disk. */
import { copyFile, readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

const LOG_BYTES_MAX = 32 * 1024 * 1024;
const CHECK_INTERVAL_MS = 30_000;

/**
 * A log over the bound is kept once as `<name>.1` and begun anew. Its writers, processes of their own, keep their descriptor: it
 * was opened for appending, so what they write next goes to the new beginning. What is written between the copy and the cut is lost.
 */
export async function rotateLogs(dataDir: string, maxBytes: number = LOG_BYTES_MAX): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (!name.endsWith('.log')) continue;
    const path = join(dataDir, name);
    if ((await stat(path)).size <= maxBytes) continue;
    await copyFile(path, `${path}.1`);
    await truncate(path);
  }
}

/** Checks until stopped. A failure is told and does not end the service. */
export function keepLogsBounded(dataDir: string, progress: (line: string) => void): { stop(): void } {
  const check = () => {
    rotateLogs(dataDir).catch((error: unknown) => progress(`the logs could not be cut: ${String(error)}`));
  };
  check();
  const timer = setInterval(check, CHECK_INTERVAL_MS);
  return { stop: () => clearInterval(timer) };
}
