import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CgroupPaths } from './cgroup.ts';

/** Per sandbox, beside its memory: enough for a hundred connections at full speed. */
const socketBufferBytes = 64 * 1024 * 1024;

export const limitFile = 'memory.kmem.tcp.limit_in_bytes';

/**
 * Bounds what a sandbox's TCP and UDP sockets hold in the kernel. Version 1 of cgroups counts that apart from memory and, until
 * a limit is written, not at all: a sandbox of 256 MiB held 1.5 GB, most of what the node has for all sockets. Only sockets
 * made afterwards count, and runc doesn't pass the engine's own setting on. Version 2 counts it as memory.
 */
export async function limitSocketBuffers({ version, memory }: CgroupPaths): Promise<void> {
  if (version === 2) return;
  await writeFile(join(memory, limitFile), String(socketBufferBytes), { flag: 'r+' }).catch((error: unknown) => {
    // A kernel without it is named in the start-up report.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  });
}
