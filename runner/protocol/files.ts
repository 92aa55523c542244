import { z } from 'zod';
import { limits } from './limits.ts';

/**
 * File operations inside a sandbox, in the container's own view and under the uid of `user`. Paths are absolute, or relative to
 * the user's home. NUL and paths over pathBytes are refused before they get here.
 */
export const sandboxPath = z
  .string()
  .min(1)
  .max(limits.pathBytes)
  .refine((path) => !path.includes('\0'), 'a path cannot contain NUL');
const user = z.string().min(1).max(64);
const mode = z.int().min(0).max(0o7777);

export const fileKinds = ['file', 'directory', 'symlink', 'other'] as const;
export const fileInfo = z.object({
  name: z.string(),
  path: z.string(),
  kind: z.enum(fileKinds),
  sizeBytes: z.int().min(0),
  /** Permission bits, without the type. */
  mode,
  uid: z.int().min(0),
  gid: z.int().min(0),
  owner: z.string(),
  group: z.string(),
  modifiedAtMs: z.number(),
  symlinkTarget: z.string().optional(),
});
export type FileInfo = z.infer<typeof fileInfo>;

const uploadId = z.string().regex(/^[0-9a-f]{32}$/);

/** op → what it takes and gives. Types of handlers, of the agent's dispatcher and of the worker's port all derive from this. */
export const fileOperations = {
  stat: { input: z.object({ path: sandboxPath, user, followSymlinks: z.boolean() }), output: fileInfo },
  exists: { input: z.object({ path: sandboxPath, user }), output: z.object({ exists: z.boolean() }) },
  list: {
    /** depth 1 is the directory's own entries. Entries come sorted by path; `truncated` past limits.listEntries. */
    input: z.object({ path: sandboxPath, user, depth: z.int().min(1).max(limits.listDepth) }),
    output: z.object({ entries: z.array(fileInfo).max(limits.listEntries), truncated: z.boolean() }),
  },
  mkdir: {
    /** Parents are made. An existing directory is `created: false`; an existing file is file_exists. */
    input: z.object({ path: sandboxPath, user, mode: mode.optional() }),
    output: z.object({ created: z.boolean(), entry: fileInfo }),
  },
  move: {
    input: z.object({ source: sandboxPath, destination: sandboxPath, user, overwrite: z.boolean() }),
    output: z.object({ entry: fileInfo }),
  },
  copy: {
    input: z.object({
      source: sandboxPath,
      destination: sandboxPath,
      user,
      overwrite: z.boolean(),
      recursive: z.boolean(),
    }),
    output: z.object({ entry: fileInfo }),
  },
  remove: {
    input: z.object({ path: sandboxPath, user, recursive: z.boolean() }),
    output: z.object({ removed: z.boolean() }),
  },
  /** Resumable upload: a temporary file beside the target; parts land at (part - 1) * partBytes; complete renames it. */
  uploadCreate: {
    input: z.object({
      path: sandboxPath,
      user,
      mode: mode.optional(),
      partBytes: z.int().min(1).max(limits.uploadPartBytes),
    }),
    output: z.object({ uploadId }),
  },
  uploadComplete: {
    input: z.object({ uploadId, user, parts: z.int().min(1).max(limits.uploadParts) }),
    output: z.object({ entry: fileInfo }),
  },
  uploadAbort: { input: z.object({ uploadId, user }), output: z.object({}) },
} as const;
export type FileOperation = keyof typeof fileOperations;
export type FileInput<O extends FileOperation> = z.infer<(typeof fileOperations)[O]['input']>;
export type FileOutput<O extends FileOperation> = z.infer<(typeof fileOperations)[O]['output']>;

/** One unary operation as it travels. */
export const fileCall = z.object({
  operation: z.enum(Object.keys(fileOperations) as [FileOperation, ...FileOperation[]]),
  input: z.unknown(),
});

/** Bytes out of the sandbox. The result event carries `readHead` before the first byte. */
export const fileRead = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('file'),
    path: sandboxPath,
    user,
    /** From rangeStart (negative: from the end), at most rangeBytes. Absent: all. */
    rangeStart: z.int().optional(),
    rangeBytes: z.int().min(0).optional(),
  }),
  /** A tar of a directory, entries relative to it. */
  z.object({ kind: z.literal('tar'), path: sandboxPath, user }),
]);
export type FileRead = z.infer<typeof fileRead>;

export const readHead = z.object({
  entry: fileInfo,
  /** Absent for a tar: not known beforehand. */
  contentBytes: z.int().min(0).optional(),
  rangeStart: z.int().min(0).optional(),
});
export type ReadHead = z.infer<typeof readHead>;

/** Bytes into the sandbox. The target is replaced atomically when all has arrived, else left as it was. */
export const fileWrite = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('file'), path: sandboxPath, user, mode: mode.optional() }),
  z.object({ kind: z.literal('part'), uploadId, user, part: z.int().min(1).max(limits.uploadParts) }),
  /** Unpacked into path (made if missing): regular files, directories and symlinks that stay inside it. */
  z.object({ kind: z.literal('tar'), path: sandboxPath, user }),
]);
export type FileWrite = z.infer<typeof fileWrite>;
export const writeResult = z.object({ entry: fileInfo.optional(), writtenBytes: z.int().min(0) });
export type WriteResult = z.infer<typeof writeResult>;

export const watchKinds = ['create', 'write', 'remove', 'rename', 'chmod'] as const;
export const watchEvent = z.object({ kind: z.enum(watchKinds), path: z.string().max(limits.pathBytes) });
export type WatchEvent = z.infer<typeof watchEvent>;
export const fileWatch = z.object({ path: sandboxPath, user, recursive: z.boolean() });
export type FileWatch = z.infer<typeof fileWatch>;
