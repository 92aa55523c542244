import type { FileInput, FileInfo, FileWrite } from '../../../protocol/files.ts';
import { AgentFault } from '../fault.ts';
import type { Identity } from '../identity.ts';
import { absolutePath, fileInfo } from './info.ts';
import type { ByteSink } from './sink.ts';
import { StagedFile } from './staged.ts';

/** Each holds a descriptor and a temporary file. */
const uploadsMax = 64;

interface Upload {
  staged: StagedFile;
  uid: number;
  partBytes: number;
  /** Bytes of each part that has arrived whole. */
  parts: Map<number, number>;
}

/** Resumable uploads: parts land in a staged file in any order, some may come twice. */
export class Uploads {
  readonly #uploads = new Map<string, Upload>();

  create(input: FileInput<'uploadCreate'>, user: Identity): { uploadId: string } {
    if (this.#uploads.size >= uploadsMax) {
      throw new AgentFault('invalid_argument', `${uploadsMax} uploads are open already: complete or abort one first.`);
    }
    const uploadId = crypto.randomUUID().replaceAll('-', '');
    const staged = StagedFile.create(absolutePath(input.path, user.home), { makeParents: true, mode: input.mode });
    this.#uploads.set(uploadId, { staged, uid: user.uid, partBytes: input.partBytes, parts: new Map() });
    return { uploadId };
  }

  part({ uploadId, part }: Extract<FileWrite, { kind: 'part' }>, user: Identity): ByteSink {
    const upload = this.#get(uploadId, user);
    let bytes = 0;
    return {
      write: (chunk) => {
        if (bytes + chunk.length > upload.partBytes) {
          throw new AgentFault('file_too_large', `A part of this upload has at most ${upload.partBytes} bytes.`);
        }
        // Should this be cut, what came before it is written over in part.
        upload.parts.delete(part);
        upload.staged.writeAt(chunk, (part - 1) * upload.partBytes + bytes);
        bytes += chunk.length;
      },
      finish: () => {
        upload.parts.set(part, bytes);
        return { writtenBytes: bytes };
      },
      // What a cut part has written stays: the part is not counted, and is written over when it comes again.
      discard: () => undefined,
    };
  }

  complete(input: FileInput<'uploadComplete'>, user: Identity): { entry: FileInfo } {
    const upload = this.#get(input.uploadId, user);
    // A wrong count would cut the file short, and nobody would be told.
    const beyond = [...upload.parts.keys()].find((part) => part > input.parts);
    if (beyond !== undefined) {
      throw new AgentFault('conflict', `Part ${beyond} was written, too, and parts is ${input.parts}.`);
    }
    let length = 0;
    for (let part = 1; part <= input.parts; part += 1) {
      const bytes = upload.parts.get(part);
      if (bytes === undefined) throw new AgentFault('invalid_argument', `Part ${part} has not arrived.`);
      if (bytes !== upload.partBytes && part < input.parts) {
        throw new AgentFault('invalid_argument', `Part ${part} is shorter than the others and not the last.`);
      }
      length += bytes;
    }
    upload.staged.truncate(length);
    try {
      upload.staged.commit();
    } catch (error) {
      upload.staged.discard();
      throw error;
    } finally {
      this.#uploads.delete(input.uploadId);
    }
    return { entry: fileInfo(upload.staged.target) };
  }

  abort(input: FileInput<'uploadAbort'>, user: Identity): Record<string, never> {
    const upload = this.#get(input.uploadId, user);
    this.#uploads.delete(input.uploadId);
    upload.staged.discard();
    return {};
  }

  #get(uploadId: string, user: Identity): Upload {
    const upload = this.#uploads.get(uploadId);
    if (upload === undefined || upload.uid !== user.uid) {
      throw new AgentFault('upload_not_found', 'There is no such upload; it was completed, aborted, or never begun.');
    }
    return upload;
  }
}
