import type { InHeader } from '../../../runner/protocol/channel.ts';
import { outStreamName } from '../../../runner/protocol/ids.ts';
import type { JobName } from '../../../runner/protocol/jobs.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { Channels, ChannelsListener, JobQueue } from './ports.ts';
import { randomHex } from './random.ts';
import { RedisSession } from './redis-session.ts';

/** How long an answer about a lease may be used again. */
const LEASE_FRESH_MS = 2_000;
const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 1_000;
const HEADER_BYTES = 2 * 1024 * 1024;

const decoder = new TextDecoder();

interface Session {
  redis: RedisSession;
  stream: string;
}

/**
 * A shard's way through Redis. Connects on demand; while anything is in flight (`busy`) it also reconnects by itself.
 * A stream outlives a lost connection; only if Redis forgot it (or is another life of the server, which may have
 * forgotten entries) is a new one made and the listener told.
 */
export class RedisChannels implements Channels, JobQueue {
  readonly #url: string;
  readonly #shard: string;
  readonly #listener: ChannelsListener;
  readonly #busy: () => boolean;
  #connecting: Promise<Session> | undefined;
  #session: Session | undefined;
  #last: { stream: string; runId: string; entryId: string } | undefined;
  #reconnectDelayMs = RECONNECT_FIRST_MS;
  #reconnecting = false;
  readonly #leases = new Map<string, { boot: string | null; atMs: number }>();

  constructor(url: string, shard: string, listener: ChannelsListener, busy: () => boolean) {
    this.#url = url;
    this.#shard = shard;
    this.#listener = listener;
    this.#busy = busy;
  }

  async ready(): Promise<{ replyStream: string }> {
    return { replyStream: (await this.#open()).stream };
  }

  async #open(): Promise<Session> {
    if (this.#session?.redis.alive) return this.#session;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connect(): Promise<Session> {
    const redis: RedisSession = await RedisSession.connect(this.#url, {
      event: (header, bytes) => this.#event(header, bytes),
      entry: (id) => {
        if (this.#last) this.#last.entryId = id;
      },
      gone: () => this.#gone(),
    });
    const last = this.#last;
    try {
      const kept = last !== undefined && last.runId === redis.runId && (await redis.renewStream(last.stream));
      const stream = kept ? last.stream : outStreamName(this.#shard, randomHex(16));
      if (!kept) await redis.createStream(stream);
      this.#last = { stream, runId: redis.runId, entryId: kept ? last.entryId : '0-0' };
      this.#session = { redis, stream };
      this.#reconnectDelayMs = RECONNECT_FIRST_MS;
      this.#leases.clear();
      redis.read(stream, this.#last.entryId);
      if (last && !kept) this.#listener.lost();
      return this.#session;
    } catch (error) {
      redis.drop();
      throw error;
    }
  }

  #gone(): void {
    this.#session = undefined;
    if (!this.#busy() || this.#reconnecting) return;
    const delayMs = this.#reconnectDelayMs;
    this.#reconnectDelayMs = Math.min(delayMs * 2, RECONNECT_MAX_MS);
    this.#reconnecting = true;
    setTimeout(() => {
      this.#reconnecting = false;
      if (!this.connected) this.#open().catch(() => this.#gone());
    }, delayMs);
  }

  #event(header: Uint8Array, bytes: Uint8Array | undefined): void {
    if (header.byteLength > HEADER_BYTES || (bytes?.byteLength ?? 0) > limits.inlineBytes) return;
    let parsed: unknown;
    try {
      parsed = JSON.parse(decoder.decode(header));
    } catch {
      // Not ours: what a reader can't parse it can't attribute to a channel either; the channel notices the gap.
      return;
    }
    this.#listener.entry(parsed, bytes);
  }

  get connected(): boolean {
    return this.#session?.redis.alive === true;
  }

  nowMs(): number {
    return this.#session?.redis.nowMs() ?? Date.now();
  }

  async lease(runnerId: string): Promise<string | null> {
    const known = this.#leases.get(runnerId);
    if (known?.boot && Date.now() - known.atMs < LEASE_FRESH_MS) return known.boot;
    return (await this.leases([runnerId])).get(runnerId) ?? null;
  }

  async leases(runnerIds: readonly string[]): Promise<Map<string, string | null>> {
    const { redis } = await this.#open();
    const boots = await redis.leases(runnerIds);
    const atMs = Date.now();
    for (const [id, boot] of boots) this.#leases.set(id, { boot, atMs });
    return boots;
  }

  async add(queue: string, jobId: string, name: JobName, data: unknown): Promise<void> {
    await (await this.#open()).redis.addJob(queue, jobId, name, data);
  }

  async send(runnerId: string, boot: string, header: InHeader, bytes?: Uint8Array): Promise<boolean> {
    return (await this.#open()).redis.write(runnerId, boot, header, bytes);
  }

  async ping(): Promise<void> {
    await (await this.#open()).redis.ping();
  }

  /** Changes when the server was restarted. */
  async serverLife(): Promise<string> {
    return (await this.#open()).redis.runId;
  }

  async admin(...args: string[]): Promise<void> {
    await (await this.#open()).redis.call(...args);
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    this.#last = undefined;
    this.#leases.clear();
    if (session) await session.redis.close(session.stream);
  }
}
