import { closeSync, unlinkSync } from 'node:fs';
import type { FileInput, FileOutput } from '../../../protocol/files.ts';
import { AgentFault } from '../fault.ts';
import type { Identity } from '../identity.ts';
import { absolutePath, fileInfo, told } from './info.ts';
import type { Steps } from './slices.ts';
import { openSource } from './source.ts';
import { StagedFile } from './staged.ts';

/** All sources are there before the first byte is copied; they go when the destination is in its place. */
export function* compose(input: FileInput<'compose'>, user: Identity): Steps<FileOutput<'compose'>> {
  const destination = absolutePath(input.destination, user.home);
  const sources = input.sources.map((source) => absolutePath(source, user.home));
  for (const source of sources) {
    yield;
    if (source === destination) {
      throw new AgentFault('invalid_argument', `${source}: a source cannot be the destination`, source);
    }
    closeSync(openSource(source).fd);
  }
  const staged = StagedFile.create(destination, { makeParents: true, ownedByWriter: user.privileged });
  try {
    for (const source of sources) yield* staged.appendFile(source);
    staged.commit();
  } catch (error) {
    staged.discard();
    throw error;
  }
  for (const source of new Set(sources)) {
    yield;
    told(source, () => unlinkSync(source));
  }
  return { entry: { ...fileInfo(staged.target), path: destination }, writtenBytes: staged.length };
}
