// The package's index would bring its workers, schedulers and the SQL of its other backend along: a third of the bundle.
import { Queue } from 'bullmq/dist/esm/classes/queue.js';
import type { Redis } from 'ioredis';
import { streamFields, type InHeader } from '../../../runner/protocol/channel.ts';
import { inStreamName, leaseKey } from '../../../runner/protocol/ids.ts';
import type { JobName } from '../../../runner/protocol/jobs.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { DeliveryError } from './ports.ts';
import { connectClient, deliveryError, send } from './redis-client.ts';

const COMMAND_MS = 2_000;
const READ_BLOCK_MS = 5_000;
/** Redis answers an XREAD within its BLOCK; a connection that is this late is dead. */
const READ_OVERDUE_MS = 3_000;
/** How often it is looked whether an answer is late: a timer for each command would cost as much as sending it. */
const WATCH_MS = 500;
const READ_ENTRIES = 64;
const TRIM_AFTER_ENTRIES = 256;
const TRIM_AFTER_BYTES = 1024 * 1024;
const QUEUES = 4096;

export interface SessionEvents {
  /** An entry was read; its events follow. */
  entry(id: string): void;
  event(header: Buffer, bytes: Buffer | undefined): void;
  /** Once, however the session ends, unless it was closed on purpose. */
  gone(cause: unknown): void;
}

/** A pair of connections to one life of a Redis server. Whatever breaks ends all of it; redis-channels.ts makes the next. */
export class RedisSession {
  readonly runId: string;
  readonly #command: Redis;
  readonly #blocking: Redis;
  readonly #events: SessionEvents;
  readonly #clockOffsetMs: number;
  readonly #queues = new Map<string, Queue>();
  readonly #awaited = new Set<{ byMs: number }>();
  readonly #watch: ReturnType<typeof setInterval>;
  #ended = false;
  #renewal: ReturnType<typeof setInterval> | undefined;

  static async connect(url: string, events: SessionEvents): Promise<RedisSession> {
    const clients = await Promise.allSettled([connectClient(url), connectClient(url)]);
    const disconnect = () => {
      for (const client of clients) if (client.status === 'fulfilled') client.value.disconnect();
    };
    try {
      const [command, blocking] = clients.map((client) => {
        if (client.status === 'fulfilled') return client.value;
        throw deliveryError(client.reason);
      });
      if (!command || !blocking) throw new Error('a session takes two connections');
      const [info, time] = await within(
        COMMAND_MS,
        Promise.all([send<Buffer>(command, 'INFO', 'server'), send<Buffer[]>(command, 'TIME')]),
      );
      const runId = /run_id:(\w+)/.exec(info.toString())?.[1] ?? '';
      const redisMs = Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000);
      return new RedisSession(command, blocking, events, runId, redisMs - Date.now());
    } catch (error) {
      disconnect();
      throw error;
    }
  }

  constructor(command: Redis, blocking: Redis, events: SessionEvents, runId: string, clockOffsetMs: number) {
    this.#command = command;
    this.#blocking = blocking;
    this.#events = events;
    this.runId = runId;
    this.#clockOffsetMs = clockOffsetMs;
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
    for (const client of [command, blocking]) {
      client.once('close', () => this.#end(new Error('a connection to Redis was closed')));
    }
  }

  get alive(): boolean {
    return !this.#ended;
  }

  nowMs(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  #ask<T>(command: string, ...args: (string | number | Buffer)[]): Promise<T> {
    return this.#timely(COMMAND_MS, send<T>(this.#command, command, ...args));
  }

  /** An answer that is late ends the session, and with it all that it waits for. */
  async #timely<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
    const awaited = { byMs: Date.now() + timeoutMs };
    this.#awaited.add(awaited);
    try {
      return await answer;
    } finally {
      this.#awaited.delete(awaited);
    }
  }

  #look(): void {
    const nowMs = Date.now();
    for (const { byMs } of this.#awaited) if (nowMs > byMs) return this.#end(new Error('Redis does not answer'));
  }

  /** True if it was there still: then nothing that was written to it is lost. */
  async renewStream(stream: string): Promise<boolean> {
    return (await this.#ask<number>('PEXPIRE', stream, limits.streamTtlMs)) === 1;
  }

  async createStream(stream: string): Promise<void> {
    await this.#ask('XADD', stream, '*', streamFields.header, '{}');
    await this.renewStream(stream);
  }

  /** Reads the stream from `fromId` on, trims what was read and keeps it from expiring, until the session ends. */
  read(stream: string, fromId: string): void {
    this.#renewal = setInterval(() => {
      this.#keep(stream).catch((error: unknown) => this.#end(error));
    }, limits.streamRenewMs);
    this.#readOn(stream, fromId).catch((error: unknown) => this.#end(error));
  }

  async #keep(stream: string): Promise<void> {
    if (!(await this.renewStream(stream))) throw new Error(`stream ${stream} is gone`);
  }

  async #readOn(stream: string, fromId: string): Promise<void> {
    let last = fromId;
    let entries = 0;
    let bytes = 0;
    while (!this.#ended) {
      const read = ['XREAD', 'BLOCK', READ_BLOCK_MS, 'COUNT', READ_ENTRIES, 'STREAMS', stream, last] as const;
      const reply = await this.#timely(
        READ_BLOCK_MS + READ_OVERDUE_MS,
        send<StreamReply | null>(this.#blocking, ...read),
      );
      for (const [id, fields] of reply?.[0]?.[1] ?? []) {
        last = id.toString();
        entries += 1;
        this.#events.entry(last);
        for (const [header, data] of eventsOf(fields)) {
          bytes += data?.byteLength ?? 0;
          if (!this.#ended) this.#events.event(header, data);
        }
      }
      if (entries < TRIM_AFTER_ENTRIES && bytes < TRIM_AFTER_BYTES) continue;
      entries = bytes = 0;
      this.#ask('XTRIM', stream, 'MINID', '~', last).catch((error: unknown) => this.#end(error));
    }
  }

  async addJob(queueName: string, jobId: string, name: JobName, data: unknown): Promise<void> {
    if (this.#command.status !== 'ready') throw deliveryError(new Error("Stream isn't writeable"));
    try {
      await this.#timely(COMMAND_MS, this.#queue(queueName).add(name, data, { jobId }));
    } catch (error) {
      throw deliveryError(error);
    }
  }

  /** A Queue over a ready client with both switches set costs no round trip. */
  #queue(name: string): Queue {
    const known = this.#queues.get(name);
    if (known) return known;
    if (this.#queues.size >= QUEUES) this.#queues.clear();
    const queue = new Queue(name, {
      connection: this.#command,
      skipVersionCheck: true,
      skipMetasUpdate: true,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    });
    queue.on('error', () => undefined);
    this.#queues.set(name, queue);
    return queue;
  }

  async leases(runnerIds: readonly string[]): Promise<Map<string, string | null>> {
    const values = await this.#ask<(Buffer | null)[]>('MGET', ...runnerIds.map(leaseKey));
    return new Map(runnerIds.map((id, index) => [id, values[index]?.toString() ?? null]));
  }

  async write(runnerId: string, boot: string, header: InHeader, bytes: Uint8Array | undefined): Promise<boolean> {
    const fields = [
      streamFields.header,
      JSON.stringify(header),
      ...(bytes ? [streamFields.bytes, Buffer.from(bytes)] : []),
    ];
    return (await this.#ask('XADD', inStreamName(runnerId, boot), 'NOMKSTREAM', '*', ...fields)) !== null;
  }

  async ping(): Promise<void> {
    await this.#ask('PING');
  }

  /** For administration (redis-users.ts). */
  async call<T>(command: string, ...args: string[]): Promise<T> {
    return this.#ask<T>(command, ...args);
  }

  async close(stream: string): Promise<void> {
    this.#ended = true;
    // It would expire by itself.
    await within(COMMAND_MS, send(this.#command, 'UNLINK', stream)).catch(() => undefined);
    this.#disconnect();
  }

  /** Without a word to anyone. */
  drop(): void {
    this.#ended = true;
    this.#disconnect();
  }

  #end(cause: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#disconnect();
    this.#events.gone(cause);
  }

  #disconnect(): void {
    clearInterval(this.#renewal);
    clearInterval(this.#watch);
    this.#command.disconnect();
    this.#blocking.disconnect();
  }
}

/** For what no session watches over. */
const within = async <T>(timeoutMs: number, answer: Promise<T>): Promise<T> => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DeliveryError('unknown', 'Redis does not answer')), timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** RESP2: [[stream, [[id, [field, value, …]], …]]]. */
type StreamReply = [stream: Buffer, entries: [id: Buffer, fields: Buffer[]][]][];

/** Each header, with the bytes that follow it. */
function* eventsOf(fields: Buffer[]): Generator<[header: Buffer, bytes: Buffer | undefined]> {
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const header = fields[index + 1];
    if (!header || fields[index]?.toString() !== streamFields.header) continue;
    yield [header, fields[index + 2]?.toString() === streamFields.bytes ? fields[index + 3] : undefined];
  }
}
