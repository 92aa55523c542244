import type { FileWrite, WriteResult } from '../../../protocol/files.ts';
import type { Identity } from '../identity.ts';
import { absolutePath, fileInfo } from './info.ts';
import { StagedFile } from './staged.ts';
import { TarUnpacker } from './tar-unpacker.ts';
import type { Uploads } from './uploads.ts';

/** Takes the bytes of one write. All of it runs with the identity of the writer. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
  /** All bytes have come. */
  finish(): WriteResult;
  /** They have not and will not: leave nothing behind. */
  discard(): void;
}

export function openSink(write: FileWrite, user: Identity, uploads: Uploads): ByteSink {
  switch (write.kind) {
    case 'file':
      return fileSink(absolutePath(write.path, user.home), write, user);
    case 'part':
      return uploads.part(write, user);
    case 'tar':
      return new TarUnpacker(absolutePath(write.path, user.home));
    default:
      return write satisfies never;
  }
}

function fileSink(path: string, { mode, metadata }: Extract<FileWrite, { kind: 'file' }>, user: Identity): ByteSink {
  const options = { makeParents: true, mode, metadata, ownedByWriter: user.privileged };
  const staged = StagedFile.create(path, options);
  return {
    write: (bytes) => staged.append(bytes),
    finish: () => {
      staged.commit();
      return { entry: fileInfo(staged.target), path, writtenBytes: staged.length };
    },
    discard: () => staged.discard(),
  };
}
