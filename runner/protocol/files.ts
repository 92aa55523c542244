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
/** On whose behalf, and how. */
const caller = {
  user,
  /** With the rights of the container's root; what is made still belongs to `user`. Absent: with those of `user`. */
  privileged: z.boolean().optional(),
};
/** Entries of symlinks say where they lead (`leadsTo`). */
const resolveLinks = z.boolean().optional();

/** What describes a file, kept with it as extended attributes `user.e2b.<key>`: it is copied, moved and removed with the file. */
export const fileMetadata = z
  .record(z.string().min(1).max(limits.metadataKeyBytes), z.string().max(limits.metadataBytes))
  .refine((metadata) => Object.keys(metadata).length <= limits.metadataKeys, 'too many keys');
export type FileMetadata = z.infer<typeof fileMetadata>;

export const fileKinds = ['file', 'directory', 'symlink', 'other'] as const;
export const fileInfo = z.object({
  name: z.string(),
  path: z.string(),
  kind: z.enum(fileKinds),
  /** What an `other` is. */
  special: z.enum(['block', 'character', 'fifo', 'socket']).optional(),
  sizeBytes: z.int().min(0),
  /** Permission bits, without the type. */
  mode,
  uid: z.int().min(0),
  gid: z.int().min(0),
  owner: z.string(),
  group: z.string(),
  modifiedAtMs: z.number(),
  /** As the link has it. */
  symlinkTarget: z.string().optional(),
  /** Where a symlink leads in the end: only where that was asked for, and absent where it leads nowhere. */
  leadsTo: z.object({ path: z.string(), kind: z.enum(fileKinds), mode }).optional(),
  /** Absent: none. */
  metadata: fileMetadata.optional(),
});
export type FileInfo = z.infer<typeof fileInfo>;

export const watchKinds = ['create', 'write', 'remove', 'rename', 'chmod'] as const;
export const watchEvent = z.object({
  kind: z.enum(watchKinds),
  path: z.string().max(limits.pathBytes),
  /** Where it was asked for, and there was one when the event came up. */
  entry: fileInfo.optional(),
});
export type WatchEvent = z.infer<typeof watchEvent>;
/** What an event takes of its reader's credit. */
export const watchEventCredit = ({ path, entry }: WatchEvent): number =>
  32 + path.length + (entry === undefined ? 0 : JSON.stringify(entry).length);
export const fileWatch = z.object({
  path: sandboxPath,
  ...caller,
  recursive: z.boolean(),
  /** With what there is after a create, write or chmod, its symlinks resolved. */
  includeEntries: z.boolean().optional(),
});
export type FileWatch = z.infer<typeof fileWatch>;

const watcherId = z.string().regex(/^[0-9a-f]{32}$/);
const uploadId = z.string().regex(/^[0-9a-f]{32}$/);

/** op → what it takes and gives. Types of handlers, of the agent's dispatcher and of the worker's port all derive from this. */
export const fileOperations = {
  stat: {
    input: z.object({ path: sandboxPath, ...caller, followSymlinks: z.boolean(), resolveLinks }),
    output: fileInfo,
  },
  exists: { input: z.object({ path: sandboxPath, ...caller }), output: z.object({ exists: z.boolean() }) },
  list: {
    /** depth 1 is the directory's own entries. Entries come sorted by path; `truncated` past limits.listEntries. */
    input: z.object({
      path: sandboxPath,
      ...caller,
      depth: z.int().min(1).max(limits.listDepth),
      resolveLinks,
    }),
    output: z.object({ entries: z.array(fileInfo).max(limits.listEntries), truncated: z.boolean() }),
  },
  mkdir: {
    /** Parents are made. An existing directory is `created: false`; an existing file is file_exists. */
    input: z.object({ path: sandboxPath, ...caller, mode: mode.optional(), resolveLinks }),
    output: z.object({ created: z.boolean(), entry: fileInfo }),
  },
  move: {
    /** `parents`: missing directories above the destination are made. */
    input: z.object({
      source: sandboxPath,
      destination: sandboxPath,
      ...caller,
      overwrite: z.boolean(),
      parents: z.boolean().optional(),
      resolveLinks,
    }),
    output: z.object({ entry: fileInfo }),
  },
  copy: {
    input: z.object({
      source: sandboxPath,
      destination: sandboxPath,
      ...caller,
      overwrite: z.boolean(),
      recursive: z.boolean(),
    }),
    output: z.object({ entry: fileInfo }),
  },
  /** The sources' bytes, one after the other, become the destination; then the sources are removed. Parents are made. */
  compose: {
    input: z.object({
      sources: z.array(sandboxPath).min(1).max(limits.composeSources),
      destination: sandboxPath,
      ...caller,
    }),
    output: z.object({ entry: fileInfo, writtenBytes: z.int().min(0) }),
  },
  remove: {
    input: z.object({ path: sandboxPath, ...caller, recursive: z.boolean() }),
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
  /**
   * A watch for who asks now and then: the agent gathers its events until they are fetched. It ends when it is removed or nobody has
   * fetched for limits.watcherIdleMinutes; it outlives a runner.
   */
  watcherCreate: { input: fileWatch, output: z.object({ watcherId }) },
  /** All that has happened until now, and is told once. `droppedEvents`: so many more did not fit. */
  watcherEvents: {
    input: z.object({ watcherId }),
    output: z.object({
      /** The watched directory, absolute. */
      root: z.string().max(limits.pathBytes),
      events: z.array(watchEvent).max(limits.watcherEvents),
      droppedEvents: z.int().min(0),
    }),
  },
  watcherRemove: { input: z.object({ watcherId }), output: z.object({}) },
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
    ...caller,
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
  z.object({
    kind: z.literal('file'),
    path: sandboxPath,
    ...caller,
    mode: mode.optional(),
    /** All that the file will have. */
    metadata: fileMetadata.optional(),
  }),
  z.object({ kind: z.literal('part'), uploadId, user, part: z.int().min(1).max(limits.uploadParts) }),
  /** Unpacked into path (made if missing): regular files, directories and symlinks that stay inside it. */
  z.object({ kind: z.literal('tar'), path: sandboxPath, user }),
]);
export type FileWrite = z.infer<typeof fileWrite>;
export const writeResult = z.object({
  entry: fileInfo.optional(),
  /** Of a file: its path as it was asked for, absolute. The entry's is where symlinks have led. */
  path: z.string().max(limits.pathBytes).optional(),
  writtenBytes: z.int().min(0),
});
export type WriteResult = z.infer<typeof writeResult>;
