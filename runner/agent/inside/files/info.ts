import type { Stats } from 'node:fs';
import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { FileInfo } from '../../../protocol/files.ts';
import { AgentFault, fileFault } from '../fault.ts';
import { groupName, ownerName } from '../identity.ts';

/** Absolute; relative ones start at the user's home. */
export function absolutePath(path: string, home: string): string {
  return resolve(home, path);
}

/** Of a file: bytes where its names came from the system, which need not be UTF-8. */
export type FilePath = string | Buffer;

/** Runs it with system errors told as faults about `path`. */
export function told<T>(path: FilePath, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fileFault(error, String(path));
  }
}

export const find = (path: FilePath): Stats | undefined => told(path, () => lstatSync(path, { throwIfNoEntry: false }));

export const findFollowing = (path: string): Stats | undefined =>
  told(path, () => statSync(path, { throwIfNoEntry: false }));

export function fileInfo(path: string, followSymlinks = false): FileInfo {
  const stat = told(path, () => (followSymlinks ? statSync(path) : lstatSync(path)));
  return describe(path, stat);
}

export function describe(path: string, stat: Stats): FileInfo {
  return {
    name: basename(path) || '/',
    path,
    kind: kindOf(stat),
    sizeBytes: stat.size,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    owner: ownerName(stat.uid),
    group: groupName(stat.gid),
    modifiedAtMs: stat.mtimeMs,
    ...(stat.isSymbolicLink() ? { symlinkTarget: readlinkSync(path) } : {}),
  };
}

function kindOf(stat: Stats): FileInfo['kind'] {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  return stat.isSymbolicLink() ? 'symlink' : 'other';
}

/**
 * The kernel lets every thread of a process open that process's descriptors by /proc/self/fd whatever its uid, so what the
 * agent holds open for one user would be readable by another.
 */
export function refuseOwnProcess(path: FilePath): void {
  const real = told(path, () => realpathSync(path));
  if (real.startsWith(`/proc/${process.pid}/`)) {
    throw new AgentFault(
      'file_permission_denied',
      `${String(path)}: the agent's own entries in /proc are not accessible`,
    );
  }
}
