import { readFile, writeFile } from 'node:fs/promises';

/**
 * Kernel counters that all sandboxes share, because the kernel keeps them by user id or for the whole node. One sandbox could
 * use them up for its neighbours, so they are raised out of reach; what they count is charged to each sandbox's memory, whose
 * limit (with the limits of processes and open files) is then the cap. Nothing is ever lowered.
 */
const counters: { path: string; atLeast: number; zeroIsUnlimited?: true }[] = [
  { path: 'fs/inotify/max_user_instances', atLeast: 2 ** 31 - 1 },
  { path: 'fs/inotify/max_user_watches', atLeast: 2 ** 31 - 1 },
  { path: 'fs/epoll/max_user_watches', atLeast: 2 ** 31 - 1 },
  // Past the soft limit a user's new pipes shrink to one page and become slow.
  { path: 'fs/pipe-user-pages-soft', atLeast: 0, zeroIsUnlimited: true },
  { path: 'fs/aio-max-nr', atLeast: 2 ** 24 },
  { path: 'kernel/pty/max', atLeast: 2 ** 20 },
  { path: 'kernel/pid_max', atLeast: 2 ** 22 },
  { path: 'kernel/threads-max', atLeast: 2 ** 19 },
  { path: 'net/netfilter/nf_conntrack_max', atLeast: 2 ** 20 },
];

/** Returns a sentence for each counter that could not be raised. */
export async function raiseKernelCounters(): Promise<string[]> {
  const notes: string[] = [];
  for (const { path, atLeast, zeroIsUnlimited } of counters) {
    const file = `/proc/sys/${path}`;
    const value = await readFile(file, 'utf8').then(Number, () => undefined);
    if (value === undefined || (zeroIsUnlimited === true ? value === 0 : value >= atLeast)) continue;
    await writeFile(file, String(atLeast)).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      notes.push(
        `The node's ${path.replaceAll('/', '.')} stays at ${value}, which one sandbox can use up for all (${reason}).`,
      );
    });
  }
  return notes;
}
