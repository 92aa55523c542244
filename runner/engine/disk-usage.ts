import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import type { ContainerFacts } from './container-facts.ts';

export interface DiskUsage {
  bytes: number;
  inodes: number;
}

/** A tree that takes longer has far more entries than any limit allows. */
const measureTimeoutMs = 60_000;
const openFilesMax = 20_000;
/** One program for both, since a start holds up all of the runner until the program is there. */
const walks = 'du -s -x -c --block-size=1 -- "$@"; du -s -x -c --inodes -- "$@"';

/**
 * Blocks and inodes that a container's writing takes on the host. `du` walks by descriptors, so neither depth nor names can
 * lead it astray, and nothing is opened but directories of the layer, which the container can't exchange for links that
 * `du` follows. Throws an AbortError after a minute.
 */
export async function measureDisk(facts: ContainerFacts): Promise<DiskUsage> {
  const { bytes, inodes } = await walk(facts.writablePaths);
  return { bytes: bytes + (await unlinkedBytes(facts)), inodes };
}

/** `timeout` makes a process group of them, and passes the signal that ends it on to all. */
async function walk(paths: string[]): Promise<DiskUsage> {
  const words = [`${(2 * measureTimeoutMs) / 1000}`, 'nice', '-n', '19', 'sh', '-c', walks, 'du', ...paths];
  const child = spawn('timeout', words, {
    stdio: ['ignore', 'pipe', 'ignore'],
    signal: AbortSignal.timeout(measureTimeoutMs),
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(child, 'close');
  // An exit code other than 0 says that an entry vanished under way, which is daily life here; the total is there all the same.
  const [bytes, inodes] = Array.from(text.matchAll(/^(\d+)\ttotal$/gm), ([, total]) => Number(total));
  if (bytes === undefined || inodes === undefined) throw new Error('du printed no total');
  return { bytes, inodes };
}

/** Files that were unlinked but are held open: the one kind that a walk can't see. The host stats them through proc. */
async function unlinkedBytes(facts: ContainerFacts): Promise<number> {
  // gVisor's kernel, which holds them, has another root than the container.
  const roots = [`/proc/${facts.pid}/root/`, ...(facts.merged === undefined ? [] : [facts.merged])];
  const devices = await Promise.all(
    roots.map((root) =>
      stat(root).then(
        ({ dev }) => dev,
        () => undefined,
      ),
    ),
  );
  const seen = new Set<number>();
  let bytes = 0;
  let left = openFilesMax;
  const pids = (await readFile(`${facts.cgroup.pids}/cgroup.procs`, 'utf8')).split('\n').filter((pid) => pid !== '');
  for (const pid of pids) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      if (left-- === 0) return bytes;
      const file = await stat(`/proc/${pid}/fd/${descriptor}`).catch(() => undefined);
      if (file === undefined || !file.isFile() || file.nlink > 0 || seen.has(file.ino)) continue;
      if (!devices.includes(file.dev)) continue;
      seen.add(file.ino);
      bytes += file.blocks * 512;
    }
  }
  return bytes;
}
