import type { FileInput, FileOperation, FileOutput } from '../../../protocol/files.ts';
import type { Identity } from '../identity.ts';
import { asIdentity, callerOf } from '../identity.ts';
import { compose } from './compose.ts';
import { absolutePath, fileInfo, findFollowing } from './info.ts';
import type { Steps } from './slices.ts';
import { runAs } from './slices.ts';
import { copy, list, mkdir, move, remove } from './tree.ts';
import type { Uploads } from './uploads.ts';
import type { Watches } from './watches.ts';

/** These outlive their call, and take on their user's identity when there is something to look at. */
type WatcherOperation = Extract<FileOperation, `watcher${string}`>;
type Implementation<O extends FileOperation> = (
  input: FileInput<O>,
  user: Identity,
  uploads: Uploads,
) => FileOutput<O> | Steps<FileOutput<O>>;

/** Every unary operation, each run with the identity of its user: at once, or in steps where it may take long. */
const implementations: { [O in Exclude<FileOperation, WatcherOperation>]: Implementation<O> } = {
  stat: (input, user) => fileInfo(absolutePath(input.path, user.home), input),
  exists: (input, user) => ({ exists: findFollowing(absolutePath(input.path, user.home)) !== undefined }),
  list,
  mkdir,
  move,
  copy,
  compose,
  remove,
  uploadCreate: (input, user, uploads) => uploads.create(input, user),
  uploadComplete: (input, user, uploads) => uploads.complete(input, user),
  uploadAbort: (input, user, uploads) => uploads.abort(input, user),
};

const ofWatchers: {
  [O in WatcherOperation]: (input: FileInput<O>, watches: Watches) => FileOutput<O> | Promise<FileOutput<O>>;
} = {
  watcherCreate: (input, watches) => watches.createWatcher(input),
  watcherEvents: (input, watches) => watches.watcherEvents(input),
  watcherRemove: (input, watches) => watches.removeWatcher(input),
};

/** The host has parsed `input` by the operation's schema. */
export async function callFile(
  operation: FileOperation,
  input: unknown,
  { uploads, watches }: { uploads: Uploads; watches: Watches },
): Promise<unknown> {
  if (isOfWatchers(operation)) {
    return await (ofWatchers[operation] as (...all: unknown[]) => unknown)(input, watches);
  }
  const user = callerOf(input as FileInput<'stat'>);
  const implementation = implementations[operation] as (...all: unknown[]) => unknown;
  const made = asIdentity(user, () => implementation(input, user, uploads));
  return isSteps(made) ? await runAs(user, made) : made;
}

const isOfWatchers = (operation: FileOperation): operation is WatcherOperation => operation in ofWatchers;

const isSteps = (made: unknown): made is Steps<unknown> =>
  typeof made === 'object' && made !== null && Symbol.iterator in made;
