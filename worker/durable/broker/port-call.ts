import type { z } from 'zod';
import type { OutHeader } from '../../../runner/protocol/channel.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { portHead, portSocketHead, type PortHead } from '../../../runner/protocol/ports.ts';
import { errorFromRunner, ServiceError } from '../../core/errors.ts';
import type { SandboxRef } from '../../core/ports.ts';
import { envelopeOf, type Envelope } from './calls.ts';
import type { Channel, Receiver } from './channel.ts';
import type { LiveRoute } from './routes.ts';
import { runnerLost, type ExecPayload, type Shard } from './shard.ts';

/** The runner cuts a silent request itself; this is for a runner that does not. */
const HEAD_MS = limits.portIdleMs + 10_000;

export type PortCallAnswer =
  | { kind: 'inline'; head: PortHead; content: Uint8Array }
  /** The body is to be fetched from the transfer, as what this runner brings. */
  | { kind: 'transfer'; head: PortHead; runnerId: string };
export type PortSocketAnswer =
  | { kind: 'open'; protocol: string; runnerId: string }
  | { kind: 'refused'; head: PortHead; content: Uint8Array };

/** Waits for a head and, where it says so, for the few bytes that come after it. */
class HeadReader<S extends z.ZodType> implements Receiver {
  readonly answer: Promise<{ head: z.output<S>; content: Uint8Array }>;
  readonly #settle: { resolve(answer: { head: z.output<S>; content: Uint8Array }): void; reject(error: unknown): void };
  readonly #schema: S;
  readonly #contentFollows: (head: z.output<S>) => boolean;
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;
  #head: { value: z.output<S> } | undefined;

  constructor(schema: S, contentFollows: (head: z.output<S>) => boolean) {
    const { promise, resolve, reject } = Promise.withResolvers<{ head: z.output<S>; content: Uint8Array }>();
    this.answer = promise;
    this.#settle = { resolve, reject };
    this.#schema = schema;
    this.#contentFollows = contentFollows;
    promise.catch(() => undefined);
  }

  event(header: OutHeader, bytes: Uint8Array | undefined): void {
    if (header.t === 'error') return this.fail(errorFromRunner(header.fault));
    if (header.t === 'lagged') return this.lost();
    if (header.t === 'result') return this.#begin(header.value);
    if (header.t === 'data' && this.#head && bytes) return this.#append(bytes);
    if (header.t === 'end' && this.#head) this.#finish(this.#head.value);
  }

  #begin(value: unknown): void {
    const head = this.#schema.safeParse(value);
    if (!head.success) return this.fail(runnerLost(head.error));
    this.#head = { value: head.data };
    if (!this.#contentFollows(head.data)) this.#finish(head.data);
  }

  #append(bytes: Uint8Array): void {
    this.#bytes += bytes.byteLength;
    if (this.#bytes > limits.inlineBytes) return this.fail(runnerLost(new Error('more inline bytes than agreed')));
    this.#parts.push(bytes);
  }

  #finish(head: z.output<S>): void {
    const content = new Uint8Array(this.#bytes);
    let offset = 0;
    for (const part of this.#parts) {
      content.set(part, offset);
      offset += part.byteLength;
    }
    this.#settle.resolve({ head, content });
  }

  fail(error: ServiceError): void {
    this.#settle.reject(error);
  }

  lost(): void {
    this.fail(runnerLost(new Error('the answer was lost')));
  }
}

/** The calls whose head has not come: a caller that goes away takes its call along. */
export class PortCalls {
  readonly #waiting = new Map<string, () => void>();

  abandon(callId: string): void {
    this.#waiting.get(callId)?.();
  }

  async request(
    shard: Shard,
    ref: SandboxRef,
    route: LiveRoute,
    payload: Omit<ExecPayload<'port.request'>, Envelope>,
  ): Promise<PortCallAnswer> {
    const reader = new HeadReader(portHead, (head) => head.body === 'inline');
    const data = { ...payload, ...envelopeOf(ref, route) };
    const deliver = () => shard.deliver('port.request', route.runnerId, data, reader);
    const { head, content } = await this.#answerOf(shard, reader, deliver, payload.answerTransferId);
    if (head.body === 'transfer') return { kind: 'transfer', head, runnerId: route.runnerId };
    return { kind: 'inline', head, content };
  }

  async socket(
    shard: Shard,
    ref: SandboxRef,
    route: LiveRoute,
    payload: Omit<ExecPayload<'port.socket'>, Envelope>,
  ): Promise<PortSocketAnswer> {
    const reader = new HeadReader(portSocketHead, (head) => head.kind === 'refused');
    const data = { ...payload, ...envelopeOf(ref, route) };
    const deliver = () => shard.deliver('port.socket', route.runnerId, data, reader);
    const { head, content } = await this.#answerOf(shard, reader, deliver, payload.socketId);
    if (head.kind === 'refused') return { kind: 'refused', head: head.head, content };
    return { kind: 'open', protocol: head.protocol, runnerId: route.runnerId };
  }

  /** A caller may be gone before its call is delivered. */
  async #answerOf<S extends z.ZodType>(
    shard: Shard,
    reader: HeadReader<S>,
    deliver: () => Promise<Channel>,
    callId: string,
  ) {
    const late = new ServiceError('deadline_exceeded', 'The server in the sandbox did not answer in time.');
    const timer = setTimeout(() => reader.fail(late), HEAD_MS);
    const gone = new ServiceError('stream_lost', 'The caller has gone.');
    this.#waiting.set(callId, () => reader.fail(gone));
    let channel: Channel | undefined;
    try {
      channel = await deliver();
      const answer = await reader.answer;
      // Nobody listens any more, but the rest goes on: a detach would end it.
      shard.close(channel);
      return answer;
    } catch (error) {
      if (channel) shard.detach(channel);
      throw error;
    } finally {
      this.#waiting.delete(callId);
      clearTimeout(timer);
    }
  }
}
