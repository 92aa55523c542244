import type { OutHeader } from '../../../runner/protocol/channel.ts';
import { readHead, type FileRead, type ReadHead } from '../../../runner/protocol/files.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { errorFromRunner, ServiceError } from '../../core/errors.ts';
import type { SandboxRef } from '../../core/ports.ts';
import { envelopeOf } from './calls.ts';
import type { Receiver } from './channel.ts';
import type { LiveRoute } from './routes.ts';
import { runnerLost, type Shard } from './shard.ts';

/** A runner that has begun to read answers within this. */
const READ_MS = 60_000;

export type ReadAnswer =
  | { kind: 'inline'; head: ReadHead; content: Uint8Array }
  /** Too large to travel here: to be read again, through a transfer. */
  | { kind: 'large' }
  | { kind: 'transfer'; head: ReadHead; runnerId: string };

/** A small file's content, or the head of one whose bytes go another way. */
class FileReader implements Receiver {
  readonly answer: Promise<{ head: ReadHead; content: Uint8Array | undefined }>;
  readonly #settle: {
    resolve(answer: { head: ReadHead; content: Uint8Array | undefined }): void;
    reject(error: unknown): void;
  };
  readonly #inline: boolean;
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;
  #head: ReadHead | undefined;

  constructor(inline: boolean) {
    const { promise, resolve, reject } = Promise.withResolvers<{ head: ReadHead; content: Uint8Array | undefined }>();
    this.answer = promise;
    this.#settle = { resolve, reject };
    this.#inline = inline;
    promise.catch(() => undefined);
  }

  event(header: OutHeader, bytes: Uint8Array | undefined): void {
    if (header.t === 'error') return this.fail(errorFromRunner(header.fault));
    if (header.t === 'lagged') return this.lost();
    if (header.t === 'result') return this.#begin(header.value);
    if (header.t === 'data' && this.#inline && bytes) return this.#append(bytes);
    if (header.t === 'end' && this.#head)
      this.#settle.resolve({ head: this.#head, content: join(this.#parts, this.#bytes) });
  }

  #begin(value: unknown): void {
    const head = readHead.safeParse(value);
    if (!head.success) return this.fail(runnerLost(head.error));
    this.#head = head.data;
    const large = (head.data.contentBytes ?? 0) > limits.inlineBytes;
    if (!this.#inline || large) this.#settle.resolve({ head: head.data, content: undefined });
  }

  #append(bytes: Uint8Array): void {
    this.#bytes += bytes.byteLength;
    if (this.#bytes > limits.inlineBytes) return this.fail(runnerLost(new Error('more inline bytes than agreed')));
    this.#parts.push(bytes);
  }

  fail(error: ServiceError): void {
    this.#settle.reject(error);
  }

  lost(): void {
    this.fail(runnerLost(new Error('the answer was lost')));
  }
}

export const readFile = async (
  shard: Shard,
  ref: SandboxRef,
  route: LiveRoute,
  read: FileRead,
  transferId: string | null,
): Promise<ReadAnswer> => {
  const reader = new FileReader(transferId === null);
  const channel = await shard.deliver(
    'file.read',
    route.runnerId,
    { ...envelopeOf(ref, route), read, transferId },
    reader,
  );
  const timer = setTimeout(
    () => reader.fail(new ServiceError('deadline_exceeded', 'The file could not be read in time.')),
    READ_MS,
  );
  try {
    const { head, content } = await reader.answer;
    if (content) return { kind: 'inline', head, content };
    if (transferId !== null) {
      // Nobody listens any more, but the read goes on: a detach would end it. A cut is seen where the bytes go.
      shard.close(channel);
      return { kind: 'transfer', head, runnerId: route.runnerId };
    }
    shard.detach(channel);
    return { kind: 'large' };
  } catch (error) {
    shard.detach(channel);
    throw error;
  } finally {
    clearTimeout(timer);
  }
};

const join = (parts: readonly Uint8Array[], bytes: number): Uint8Array => {
  const joined = new Uint8Array(bytes);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.byteLength;
  }
  return joined;
};
