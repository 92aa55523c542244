import { limits } from '../../protocol/limits.ts';
import type { RunnerErrorCode, RunnerFault } from '../../protocol/errors.ts';

/** What an operation answers instead of a result. (RunnerError's module needs zod, which the agent does without.) */
export class AgentFault extends Error {
  readonly code: RunnerErrorCode;
  /** The file that it is about, absolute. */
  readonly path: string | undefined;
  constructor(code: RunnerErrorCode, message: string, path?: string) {
    super(message);
    this.code = code;
    this.path = path;
  }
}

export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const byErrno: Record<string, { code: RunnerErrorCode; says: string }> = {
  ENOENT: { code: 'file_not_found', says: 'no such file or directory' },
  EEXIST: { code: 'file_exists', says: 'it exists already' },
  ENOTDIR: { code: 'not_a_directory', says: 'a part of the path is not a directory' },
  EISDIR: { code: 'not_a_file', says: 'it is a directory' },
  ENOTEMPTY: { code: 'directory_not_empty', says: 'the directory is not empty' },
  EACCES: { code: 'file_permission_denied', says: 'permission denied' },
  EPERM: { code: 'file_permission_denied', says: 'operation not permitted' },
  EROFS: { code: 'file_permission_denied', says: 'read-only file system' },
  EFBIG: { code: 'file_too_large', says: 'the file is too large' },
  ENOSPC: { code: 'no_space', says: 'no space is left on the disk' },
  EDQUOT: { code: 'no_space', says: 'the disk quota is used up' },
  ELOOP: { code: 'invalid_argument', says: 'too many symbolic links' },
  ENAMETOOLONG: { code: 'invalid_argument', says: 'the name is too long' },
  EINVAL: { code: 'invalid_argument', says: 'invalid argument' },
  ETXTBSY: { code: 'file_permission_denied', says: 'the file is being executed' },
  EBUSY: { code: 'file_permission_denied', says: 'it is in use' },
  EXDEV: { code: 'invalid_argument', says: 'source and destination are on different file systems' },
};

/** A system error about `path` as a fault; others unchanged. */
export function fileFault(error: unknown, path: string): unknown {
  if (error instanceof AgentFault) return error;
  const known = byErrno[errnoOf(error) ?? ''];
  return known === undefined ? error : new AgentFault(known.code, `${path.slice(0, 1024)}: ${known.says}`, path);
}

export function toFault(error: unknown): RunnerFault {
  if (error instanceof AgentFault) {
    const path = error.path === undefined || error.path.length > limits.pathBytes ? {} : { path: error.path };
    return { code: error.code, message: error.message.slice(0, 2000), ...path };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message: message.slice(0, 2000) };
}
