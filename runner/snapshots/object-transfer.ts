import { Readable } from 'node:stream';
import { Agent, request } from 'undici';
import { delay } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { SnapshotPart } from '../protocol/snapshots.ts';
import type { SnapshotFile } from './store.ts';

/** A range or part that moves nothing for this long is tried again. */
const stallMs = 30_000;
const connectMs = 10_000;
const connections = 16;
const attemptsMax = 3;
const retryFirstMs = 250;
const partsAtOnce = 2;
/** What is asked for at once of an object: a cut costs no more than this. */
const rangeBytes = 32 * 1024 * 1024;
/** Of an error's body: enough for its code. */
const refusalBytes = 2048;

/**
 * A snapshot's way to and from the object store: by URLs that the control plane signed, each for one object and, of an upload, for one part
 * of one length. The runner has no credentials there.
 */
export class ObjectTransfer {
  readonly #dispatcher = new Agent({
    connections,
    connect: { timeout: connectMs },
    headersTimeout: stallMs,
    bodyTimeout: stallMs,
  });

  /** In ranges, each tried up to three times. Throws snapshot_unavailable where there is no such object, transfer_failed. */
  async *download(url: string, sizeBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < sizeBytes; offset += rangeBytes) {
      const length = Math.min(rangeBytes, sizeBytes - offset);
      yield await this.#retried(signal, () => this.#range(url, offset, length, signal));
    }
  }

  async #range(url: string, offset: number, length: number, signal: AbortSignal): Promise<Buffer> {
    const headers = { range: `bytes=${offset}-${offset + length - 1}` };
    const { statusCode, body } = await request(url, { dispatcher: this.#dispatcher, headers, signal });
    if (statusCode !== 206 && !(statusCode === 200 && offset === 0)) {
      await body.dump({ limit: refusalBytes });
      throw refused(statusCode);
    }
    const bytes = Buffer.alloc(length);
    let at = 0;
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      if (at + chunk.length > length) throw new Error('the store sent more than it was asked for');
      bytes.set(chunk, at);
      at += chunk.length;
    }
    if (at < length) throw new Error('the store sent less than it was asked for');
    return bytes;
  }

  /** Every part, two at a time. Answers their etags by number. Throws transfer_failed. */
  async upload(file: SnapshotFile, parts: readonly SnapshotPart[], signal: AbortSignal): Promise<UploadedPart[]> {
    const offsets = new Map<number, number>();
    let offset = 0;
    for (const { part, sizeBytes } of parts) {
      offsets.set(part, offset);
      offset += sizeBytes;
    }
    if (offset !== file.sizeBytes) throw new RunnerError('invalid_argument', 'The parts are not the whole snapshot.');
    const uploaded: UploadedPart[] = [];
    const waiting = [...parts];
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const work = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const { part, url, sizeBytes } = next;
        const range = { offset: offsets.get(part) ?? 0, length: sizeBytes };
        uploaded.push({ part, etag: await this.#retried(either, () => this.#put(url, file, range, either)) });
      }
    };
    try {
      await Promise.all(Array.from({ length: partsAtOnce }, work));
    } catch (error) {
      failed.abort(error);
      throw error;
    }
    return uploaded.toSorted((a, b) => a.part - b.part);
  }

  async #put(
    url: string,
    file: SnapshotFile,
    range: { offset: number; length: number },
    signal: AbortSignal,
  ): Promise<string> {
    const { statusCode, headers, body } = await request(url, {
      method: 'PUT',
      dispatcher: this.#dispatcher,
      headers: { 'content-length': String(range.length) },
      body: Readable.from(file.read(range), { objectMode: false }),
      signal,
    });
    await body.dump({ limit: refusalBytes });
    const { etag } = headers;
    if (statusCode !== 200 || typeof etag !== 'string') throw refused(statusCode);
    return etag.replaceAll('"', '');
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #retried<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof RunnerError) throw error;
        if (attempt >= attemptsMax) {
          throw new RunnerError('transfer_failed', 'The object store did not take or give a snapshot’s bytes.', {
            cause: error,
          });
        }
      }
      await delay(retryFirstMs * 2 ** (attempt - 1), signal);
    }
  }
}

interface UploadedPart {
  part: number;
  etag: string;
}

const refused = (status: number): Error =>
  status === 404
    ? new RunnerError('snapshot_unavailable', 'The snapshot’s bytes are gone.')
    : new Error(`the object store answered ${status}`);
