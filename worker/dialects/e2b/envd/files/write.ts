import type { FileEntry } from '../filesystem/entry.ts';
import { streamOf } from '../../../../core/formats/byte-source.ts';
import type { Context, SandboxRef } from '../../../../core/ports.ts';

/** As E2B's API says of a file that it has written. */
export interface WrittenFile {
  path: string;
  name: string;
  type: 'file';
  metadata?: Record<string, string>;
}

type Content = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | null;
/** `contentBytes`: null where it is not known. */
export type Writer = (path: string, content: Content, contentBytes?: number | null) => Promise<WrittenFile>;

/** One request's writes: all of one user, all with the same metadata. */
export const writer =
  (ctx: Context, ref: SandboxRef, caller: { user: string; metadata: Record<string, string> }): Writer =>
  async (path, content, contentBytes = null) => {
    const noted = content === null || 'getReader' in content ? undefined : new NotedFailure(content);
    const body = noted === undefined ? (content as ReadableStream<Uint8Array> | null) : streamOf(noted);
    try {
      const write = { kind: 'file' as const, path, ...caller, privileged: true };
      const { path: writtenPath, entry } = await ctx.broker.writeFile(ref, write, body, contentBytes);
      return viewWritten(writtenPath ?? entry?.path ?? path, entry);
    } catch (error) {
      // The runner only knows that the bytes were cut.
      throw noted?.failure ?? error;
    }
  };

export const viewWritten = (path: string, entry: FileEntry | undefined): WrittenFile => ({
  path,
  name: path.slice(path.lastIndexOf('/') + 1),
  type: 'file',
  ...(entry?.metadata === undefined ? {} : { metadata: entry.metadata }),
});

/** The same bytes; why they broke off is kept. */
class NotedFailure implements AsyncIterable<Uint8Array> {
  failure: unknown;
  readonly #chunks: AsyncIterable<Uint8Array>;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const chunk of this.#chunks) yield chunk;
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}
