import type { Stats } from 'node:fs';
import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { FileInfo } from '../../../protocol/files.ts';
import { AgentFault, fileFault } from '../fault.ts';
import { groupName, ownerName } from '../identity.ts';
import { metadataOf } from './metadata.ts';

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

export interface Described {
  followSymlinks?: boolean;
  /** Of a symlink: where it leads in the end. */
  resolveLinks?: boolean | undefined;
}

export function fileInfo(path: string, how: Described = {}): FileInfo {
  const stat = told(path, () => (how.followSymlinks === true ? statSync(path) : lstatSync(path)));
  return describe(path, stat, how);
}

export function describe(path: string, stat: Stats, { resolveLinks }: Described = {}): FileInfo {
  const special = specialOf(stat);
  const leadsTo = resolveLinks === true && stat.isSymbolicLink() ? endOf(path) : undefined;
  const metadata = metadataOf(path);
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
    ...(special === undefined ? {} : { special }),
    ...(stat.isSymbolicLink() ? { symlinkTarget: readlinkSync(path) } : {}),
    ...(leadsTo === undefined ? {} : { leadsTo }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

function endOf(link: string): FileInfo['leadsTo'] {
  try {
    const path = realpathSync(link);
    const stat = statSync(path);
    return { path, kind: kindOf(stat), mode: stat.mode & 0o7777 };
  } catch {
    return undefined;
  }
}

function specialOf(stat: Stats): FileInfo['special'] {
  if (stat.isFIFO()) return 'fifo';
  if (stat.isSocket()) return 'socket';
  if (stat.isBlockDevice()) return 'block';
  return stat.isCharacterDevice() ? 'character' : undefined;
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
