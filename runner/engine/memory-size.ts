import { readFile } from 'node:fs/promises';
import type { CgroupPaths } from './cgroup.ts';
import { readMemory } from './metrics.ts';

/**
 * What the images of all that runs in a container take at most, roughly. CRIU writes what forked processes share, and have not changed, once
 * for each of them, so it may be far more than the container uses. It has to stand still.
 */
export async function measureMemory(cgroup: CgroupPaths): Promise<number> {
  const { usedBytes } = await readMemory(cgroup);
  const pids = (await readFile(`${cgroup.pids}/cgroup.procs`, 'utf8')).split('\n').filter((pid) => pid !== '');
  const resident = await Promise.all(
    // One that is gone has none.
    pids.map(async (pid) => parseResident(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))),
  );
  return Math.max(
    usedBytes,
    resident.reduce((sum, bytes) => sum + bytes, 0),
  );
}

/** Of /proc/<pid>/status: bytes in memory that are no file's. */
export function parseResident(status: string): number {
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
  return (kib('RssAnon') + kib('RssShmem')) * 1024;
}
