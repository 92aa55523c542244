import type { FileInput, FileOperation, FileOutput } from '../../../protocol/files.ts';
import type { Identity } from '../identity.ts';
import { asIdentity, identityOf } from '../identity.ts';
import { absolutePath, fileInfo, findFollowing } from './info.ts';
import type { Steps } from './slices.ts';
import { runAs } from './slices.ts';
import { copy, list, mkdir, move, remove } from './tree.ts';
import type { Uploads } from './uploads.ts';

type Implementation<O extends FileOperation> = (
  input: FileInput<O>,
  user: Identity,
  uploads: Uploads,
) => FileOutput<O> | Steps<FileOutput<O>>;

/** Every unary operation, each run with the identity of its user: at once, or in steps where it may take long. */
const implementations: { [O in FileOperation]: Implementation<O> } = {
  stat: (input, user) => fileInfo(absolutePath(input.path, user.home), input.followSymlinks),
  exists: (input, user) => ({ exists: findFollowing(absolutePath(input.path, user.home)) !== undefined }),
  list,
  mkdir,
  move,
  copy,
  remove,
  uploadCreate: (input, user, uploads) => uploads.create(input, user),
  uploadComplete: (input, user, uploads) => uploads.complete(input, user),
  uploadAbort: (input, user, uploads) => uploads.abort(input, user),
};

/** The host has parsed `input` by the operation's schema. */
export async function callFile(operation: FileOperation, input: unknown, uploads: Uploads): Promise<unknown> {
  const user = identityOf((input as FileInput<FileOperation>).user);
  const implementation = implementations[operation] as (...all: unknown[]) => unknown;
  const made = asIdentity(user, () => implementation(input, user, uploads));
  return isSteps(made) ? await runAs(user, made) : made;
}

const isSteps = (made: unknown): made is Steps<unknown> =>
  typeof made === 'object' && made !== null && Symbol.iterator in made;
