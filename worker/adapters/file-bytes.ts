import {
  writeResult,
  type FileRead,
  type FileWrite,
  type ReadHead,
  type WriteResult,
} from '../../runner/protocol/files.ts';
import { limits } from '../../runner/protocol/limits.ts';
import { ServiceError } from '../core/errors.ts';
import { byobReaderOf } from '../core/formats/byte-source.ts';
import type { SandboxRef } from '../core/ports.ts';
import type { ReadAnswer } from '../durable/broker/file-read.ts';
import type { Outcome } from '../durable/broker/outcome.ts';
import type { Env } from '../env.ts';
import { askOnce, askTwice, type Brokers } from './broker-stub.ts';
import { newTransferId, receiveTransfer, sendTransfer, transferStub, type Outgoing } from './transfers.ts';

type Body = ReadableStream<Uint8Array>;

/** One read of a chunked body: a default reader would get 4 KiB at a time. */
const READ_BYTES = 64 * 1024;

/** Bytes of one sandbox: small ones travel in the job or its answer, all others through a Transfer. */
export class FileBytes {
  readonly #env: Env;
  readonly #brokers: Brokers;

  constructor(env: Env, brokers: Brokers) {
    this.#env = env;
    this.#brokers = brokers;
  }

  async read(ref: SandboxRef, read: FileRead): Promise<{ head: ReadHead; body: Body }> {
    const small = read.kind === 'tar' ? { kind: 'large' as const } : await this.#ask(ref, read, null);
    if (small.kind === 'inline') return { head: small.head, body: new Response(small.content).body ?? emptyBody() };
    const id = newTransferId();
    const large = await this.#ask(ref, read, id);
    if (large.kind !== 'transfer') throw cut(new Error(`a transfer was answered by ${large.kind}`));
    const answer = await receiveTransfer(transferStub(this.#env, id), 'client', large.runnerId);
    if (!answer.ok || !answer.body) throw cut(new Error(`the transfer answered ${answer.status}`));
    return { head: large.head, body: answer.body };
  }

  #ask(ref: SandboxRef, read: FileRead, transferId: string | null): Promise<ReadAnswer> {
    return askTwice(
      () => this.#brokers.ofSandbox(ref.sandboxId).readFile(ref, read, transferId) as Promise<Outcome<ReadAnswer>>,
    );
  }

  /** The target is replaced when all has come, else left as it was. */
  async write(ref: SandboxRef, write: FileWrite, body: Body | null, contentBytes: number | null): Promise<WriteResult> {
    const content = body ?? emptyBody();
    if (contentBytes !== null && contentBytes > limits.inlineBytes) {
      return this.#transfer(ref, write, { body: content, contentBytes });
    }
    if (contentBytes !== null) return this.#inline(ref, write, content, contentBytes);
    const start = await readStart(content);
    if (start.whole) return this.#deliver(ref, write, toBase64(start.bytes), null);
    return this.#transfer(ref, write, { start: start.bytes, body: content, contentBytes: null });
  }

  async #inline(ref: SandboxRef, write: FileWrite, content: Body, contentBytes: number): Promise<WriteResult> {
    const bytes = new Uint8Array(await new Response(content).arrayBuffer());
    if (bytes.byteLength === contentBytes) return this.#deliver(ref, write, toBase64(bytes), null);
    throw new ServiceError('invalid_argument', 'The body is not as long as it was said to be.');
  }

  async #transfer(ref: SandboxRef, write: FileWrite, outgoing: Omit<Outgoing, 'signal'>): Promise<WriteResult> {
    const runnerId = await askTwice(
      () => this.#brokers.ofSandbox(ref.sandboxId).locate(ref) as Promise<Outcome<string>>,
    );
    const id = newTransferId();
    const abandoned = new AbortController();
    const stub = transferStub(this.#env, id);
    const sent = sendTransfer(stub, 'client', runnerId, { ...outgoing, signal: abandoned.signal });
    // How it went is the runner's to say: it has the bytes or it hasn't.
    sent.catch(() => undefined);
    try {
      return await this.#deliver(ref, write, null, id);
    } finally {
      abandoned.abort();
    }
  }

  async #deliver(
    ref: SandboxRef,
    write: FileWrite,
    contentBase64: string | null,
    transferId: string | null,
  ): Promise<WriteResult> {
    const answer = this.#brokers.ofSandbox(ref.sandboxId).call(ref, 'file.write', { write, contentBase64, transferId });
    const result = writeResult.safeParse(await askOnce(answer as Promise<Outcome<unknown>>));
    if (result.success) return result.data;
    throw new ServiceError('internal', 'The runner failed to do this. The request id identifies it in the logs.', {
      cause: result.error,
    });
  }
}

/** Up to inlineBytes or a little more; `whole` if that was all. The body is unlocked again. */
const readStart = async (body: Body): Promise<{ bytes: Uint8Array; whole: boolean }> => {
  const reader = readerOf(body);
  const parts: Uint8Array[] = [];
  let size = 0;
  let whole = false;
  while (!whole && size <= limits.inlineBytes) {
    const { done, value } = await reader.read();
    whole = done;
    if (value) parts.push(value);
    size += value?.byteLength ?? 0;
  }
  reader.release();
  return { bytes: new Uint8Array(await new Blob(parts).arrayBuffer()), whole };
};

/** A stream that a program makes has pieces of its own size, and no byte reader. */
const readerOf = (body: Body) => {
  const byob = byobReaderOf(body);
  if (byob) return { read: () => byob.read(new Uint8Array(READ_BYTES)), release: () => byob.releaseLock() };
  const reader = body.getReader();
  return { read: () => reader.read(), release: () => reader.releaseLock() };
};

const emptyBody = (): Body => new Blob([]).stream();

const toBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');

const cut = (cause: unknown): ServiceError =>
  new ServiceError('transfer_failed', 'The transfer was cut. Try again.', { cause });
