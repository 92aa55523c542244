import type { Redis } from 'ioredis';
import { inHeader, streamFields, type InHeader } from '../protocol/channel.ts';
import { limits } from '../protocol/limits.ts';
import { delay } from '../clock.ts';
import type { Logger } from '../log.ts';
import { send } from './connection.ts';

const BLOCK_MS = 5_000;
/** A blocked read that hasn't come back by then hangs on a dead connection. */
const WATCHDOG_MS = BLOCK_MS + 3_000;
const READ_COUNT = 512;
const RETRY_MS = 100;
/** What was read is trimmed in portions, and when nothing comes: at every read it would be one more command for each key that somebody types. */
const TRIM_AFTER_ENTRIES = 64;
const TRIM_AFTER_BYTES = 256 * 1024;

export type InboundSink = (header: InHeader, bytes: Buffer | undefined) => void;
type XreadReply = [stream: Buffer, entries: [id: Buffer, fields: Buffer[]][]][] | null;

/**
 * The edge's stream to this life of the runner. It exists from before the first job is taken; its only reader is here, and
 * only that reader trims it. It expires soon after its reader is gone, so that no writer waits for a dead one.
 */
export class Inbound {
  readonly #commands: Redis;
  readonly #blocking: Redis;
  readonly #stream: string;
  readonly #sink: InboundSink;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #lastId = '0-0';
  /** Read since it was trimmed last. */
  #untrimmed = { entries: 0, bytes: 0 };
  #reading: Promise<void> | undefined;

  constructor(parts: { commands: Redis; blocking: Redis; stream: string; sink: InboundSink; log: Logger }) {
    this.#commands = parts.commands;
    this.#blocking = parts.blocking;
    this.#stream = parts.stream;
    this.#sink = parts.sink;
    this.#log = parts.log;
  }

  async start(): Promise<void> {
    await this.renew();
    this.#reading = this.#readLoop();
  }

  /** Every streamRenewMs. Makes the stream again if Redis has lost it (a restart without its data). */
  async renew(): Promise<void> {
    const expirySet = await send<number>(this.#commands, 'PEXPIRE', this.#stream, limits.streamTtlMs);
    if (expirySet === 1) return;
    this.#lastId = '0-0';
    await this.#commands
      .multi()
      .xadd(this.#stream, '*', 'created', '1')
      .pexpire(this.#stream, limits.streamTtlMs)
      .exec();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopping'));
    this.#blocking.disconnect();
    await this.#reading;
  }

  async #readLoop(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#readOnce();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#log.warn('inbound_read_failed', { error: error instanceof Error ? error : new Error(String(error)) });
        await delay(RETRY_MS, this.#stop.signal).catch(() => undefined); // the loop's condition sees the stop
      }
    }
  }

  async #readOnce(): Promise<void> {
    const reply = await this.#readWatched();
    const entries = reply?.[0]?.[1] ?? [];
    for (const [id, fields] of entries) {
      this.#lastId = String(id);
      this.#untrimmed.entries += 1;
      this.#untrimmed.bytes += fields.reduce((sum, field) => sum + field.length, 0);
      this.#deliver(fields);
    }
    if (!this.#trimIsDue(entries.length === 0)) return;
    this.#untrimmed = { entries: 0, bytes: 0 };
    // Not awaited: what it frees is memory of Redis; should it be lost, the next one makes up for it.
    send(this.#commands, 'XTRIM', this.#stream, 'MINID', next(this.#lastId)).catch((error: unknown) =>
      this.#log.warn('inbound_trim_failed', { error: error instanceof Error ? error : new Error(String(error)) }),
    );
  }

  #trimIsDue(quiet: boolean): boolean {
    const { entries, bytes } = this.#untrimmed;
    return entries >= TRIM_AFTER_ENTRIES || bytes >= TRIM_AFTER_BYTES || (quiet && entries > 0);
  }

  async #readWatched(): Promise<XreadReply> {
    const watchdog = setTimeout(() => this.#blocking.disconnect(true), WATCHDOG_MS);
    try {
      return await send<XreadReply>(
        this.#blocking,
        'XREAD',
        'COUNT',
        READ_COUNT,
        'BLOCK',
        BLOCK_MS,
        'STREAMS',
        this.#stream,
        this.#lastId,
      );
    } finally {
      clearTimeout(watchdog);
    }
  }

  #deliver(fields: Buffer[]): void {
    let header: string | undefined;
    let bytes: Buffer | undefined;
    for (let index = 0; index + 1 < fields.length; index += 2) {
      const name = String(fields[index]);
      if (name === streamFields.header) header = String(fields[index + 1]);
      else if (name === streamFields.bytes) bytes = fields[index + 1];
    }
    if (header === undefined) return; // the entry that made the stream
    const parsed = parseHeader(header);
    if (!parsed) return this.#log.warn('inbound_entry_unreadable');
    this.#sink(parsed, bytes);
  }
}

function parseHeader(header: string): InHeader | undefined {
  try {
    return inHeader.safeParse(JSON.parse(header)).data;
  } catch {
    return undefined; // not JSON: reported by the caller
  }
}

/** The smallest id after this one. */
function next(id: string): string {
  const [milliseconds, sequence] = id.split('-');
  return `${milliseconds}-${BigInt(sequence ?? '0') + 1n}`;
}
