// The package's index would bring its workers, schedulers and the SQL of its other backend along: a third of the bundle.
import { Queue } from 'bullmq/dist/esm/classes/queue.js';
import type { Redis } from 'ioredis';
import { streamFields, type InHeader } from '../../../runner/protocol/channel.ts';
import { inStreamName, leaseKey } from '../../../runner/protocol/ids.ts';
import type { JobName } from '../../../runner/protocol/jobs.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { DeliveryError } from './ports.ts';
import { connectClient, deliveryError } from './redis-client.ts';
import { RedisWire } from './redis-wire.ts';
import type { Argument, Reply } from './resp.ts';

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
  event(header: Uint8Array, bytes: Uint8Array | undefined): void;
  /** Once, however the session ends, unless it was closed on purpose. */
  gone(cause: unknown): void;
}

/** What is connected to one life of a Redis server: for jobs, for other commands, and for reading. Whatever breaks ends all of it; redis-channels.ts makes the next. */
export class RedisSession {
  readonly runId: string;
  readonly #jobs: Redis;
  readonly #command: RedisWire;
  readonly #blocking: RedisWire;
  readonly #events: SessionEvents;
  readonly #clockOffsetMs: number;
  readonly #queues = new Map<string, Queue>();
  readonly #awaited = new Set<{ byMs: number }>();
  readonly #watch: ReturnType<typeof setInterval>;
  #ended = false;
  #renewal: ReturnType<typeof setInterval> | undefined;

  static async connect(url: string, events: SessionEvents): Promise<RedisSession> {
    const made = [connectClient(url), RedisWire.connect(url), RedisWire.connect(url)] as const;
    try {
      const [jobs, command, blocking] = await Promise.all(made);
      const facts = Promise.all([command.send<Uint8Array>('INFO', 'server'), command.send<Uint8Array[]>('TIME')]);
      const [info, time] = await within(COMMAND_MS, facts);
      const runId = /run_id:(\w+)/.exec(text(info))?.[1] ?? '';
      const [seconds = 0, micros = 0] = time.map((part) => Number(text(part)));
      const redisMs = seconds * 1000 + Math.floor(micros / 1000);
      return new RedisSession({ jobs, command, blocking }, events, runId, redisMs - Date.now());
    } catch (error) {
      const [jobs, ...wires] = made;
      jobs.then((client) => client.disconnect()).catch(() => undefined);
      for (const wire of wires) wire.then((open) => open.close()).catch(() => undefined);
      throw deliveryError(error);
    }
  }

  private constructor(
    { jobs, command, blocking }: { jobs: Redis; command: RedisWire; blocking: RedisWire },
    events: SessionEvents,
    runId: string,
    clockOffsetMs: number,
  ) {
    this.#jobs = jobs;
    this.#command = command;
    this.#blocking = blocking;
    this.#events = events;
    this.runId = runId;
    this.#clockOffsetMs = clockOffsetMs;
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
    jobs.once('close', () => this.#end(new Error('a connection to Redis was closed')));
    for (const wire of [command, blocking]) wire.onGone((cause) => this.#end(cause));
  }

  get alive(): boolean {
    return !this.#ended;
  }

  nowMs(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  #ask<T extends Reply>(...args: Argument[]): Promise<T> {
    return this.#timely(COMMAND_MS, this.#command.send<T>(...args));
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
        this.#blocking.send<StreamReply | null>(...read),
      );
      for (const [id, fields] of reply?.[0]?.[1] ?? []) {
        last = text(id);
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
    if (this.#jobs.status !== 'ready') throw deliveryError(new Error("Stream isn't writeable"));
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
      connection: this.#jobs,
      skipVersionCheck: true,
      skipMetasUpdate: true,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    });
    queue.on('error', () => undefined);
    this.#queues.set(name, queue);
    return queue;
  }

  async leases(runnerIds: readonly string[]): Promise<Map<string, string | null>> {
    const values = await this.#ask<(Uint8Array | null)[]>('MGET', ...runnerIds.map(leaseKey));
    return new Map(
      runnerIds.map((id, index) => {
        const boot = values[index];
        return [id, boot ? text(boot) : null];
      }),
    );
  }

  async write(runnerId: string, boot: string, header: InHeader, bytes: Uint8Array | undefined): Promise<boolean> {
    const fields = [streamFields.header, JSON.stringify(header), ...(bytes ? [streamFields.bytes, bytes] : [])];
    return (await this.#ask('XADD', inStreamName(runnerId, boot), 'NOMKSTREAM', '*', ...fields)) !== null;
  }

  async ping(): Promise<void> {
    await this.#ask('PING');
  }

  /** For administration (redis-users.ts). */
  async call(...args: string[]): Promise<void> {
    await this.#ask(...args);
  }

  async close(stream: string): Promise<void> {
    this.#ended = true;
    // It would expire by itself.
    await within(COMMAND_MS, this.#command.send('UNLINK', stream)).catch(() => undefined);
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
    this.#jobs.disconnect();
    this.#command.close();
    this.#blocking.close();
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
type StreamReply = [stream: Uint8Array, entries: [id: Uint8Array, fields: Uint8Array[]][]][];

/** Each header, with the bytes that follow it. */
function* eventsOf(fields: Uint8Array[]): Generator<[header: Uint8Array, bytes: Uint8Array | undefined]> {
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const header = fields[index + 1];
    if (!header || !isNamed(fields[index], streamFields.header)) continue;
    yield [header, isNamed(fields[index + 2], streamFields.bytes) ? fields[index + 3] : undefined];
  }
}

/** The names of fields have one letter. */
const isNamed = (field: Uint8Array | undefined, name: string): boolean =>
  field?.byteLength === name.length && field[0] === name.charCodeAt(0);

const decoder = new TextDecoder();
const text = (bytes: Uint8Array): string => decoder.decode(bytes);
