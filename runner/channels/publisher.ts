import type { Redis } from 'ioredis';
import { letGo, type OutEvent } from '../protocol/channel.ts';
import type { ReplyTo } from '../protocol/jobs.ts';
import type { Logger } from '../log.ts';
import { StreamEntry } from './stream-entry.ts';

/** Events of all channels that wait for Redis's acknowledgement, in bytes. Past it a channel is detached, not the runner swelled. */
const BUFFER_BYTES = 64 * 1024 * 1024;
/** An outage longer than this detaches the channels that have something to say. */
const BUFFER_MS = 20_000;
const EXPIRY_CHECK_MS = 1_000;
/** What an event costs beside its payload. */
const EVENT_OVERHEAD_BYTES = 256;
/** Events that wait for the same stream go as one entry, up to so much: a reader that blocks is woken by each entry. */
const ENTRY_BYTES = 16 * 1024;

/** One channel of the edge's `out-` stream, as its writer sees it. */
export interface OutChannel {
  readonly id: string;
  readonly open: boolean;
  /** Numbers the event and queues it; it leaves at the end of this turn of the event loop, in order. Dropped once closed. */
  send(event: OutEvent, bytes?: Uint8Array): void;
  /** What is queued leaves now: the bytes are with the kernel when this returns, if Redis is connected. */
  flush(): void;
  close(): void;
}

interface Waiting {
  channel: Channel;
  stream: string;
  header: string;
  bytes: Uint8Array | undefined;
  costBytes: number;
  queuedAtMs: number;
}

/** What one entry carries, with its numbers. */
interface Batch {
  stream: string;
  numbers: number[];
  events: Waiting[];
}

interface Channel {
  id: string;
  stream: string;
  sequence: number;
  open: boolean;
  onGone: () => void;
}

/**
 * Writes to the shards' streams. Entries are kept until Redis has acknowledged them and sent again, in order, after a
 * reconnect: readers ignore the repeats by their sequence number.
 */
export class Publisher {
  readonly #redis: Redis;
  readonly #log: Logger;
  /** Unacknowledged, by their numbers, in order; those before `#unsent` are on their way. */
  readonly #events = new Map<number, Waiting>();
  #next = 0;
  #unsent = 0;
  #bufferedBytes = 0;
  #scheduled = false;
  /** Counts connections: answers to what an earlier one was sent are void. */
  #generation = 0;
  /** Something couldn't be sent: nothing more is tried on this connection, whose end is about to be reported. */
  #broken = false;
  #expiryTimer: NodeJS.Timeout | undefined;
  readonly #channels = new Map<string, Set<Channel>>();
  /** Given up while Redis was away, and not told yet. None is opened meanwhile: as many as were open, at most. */
  readonly #untold = new Set<Channel>();

  constructor(redis: Redis, log: Logger) {
    this.#redis = redis;
    this.#log = log;
    redis.on('close', () => this.#rewind());
    redis.on('ready', () => {
      this.#broken = false;
      for (const channel of this.#untold) this.#sayLastWord(channel);
      this.#untold.clear();
      this.#schedule();
    });
  }

  /** `onGone`: the reader doesn't exist any more (or can't be reached in time); nothing more can be said to it. */
  open(reply: ReplyTo, onGone: () => void): OutChannel {
    const channel: Channel = { id: reply.channel, stream: reply.stream, sequence: 0, open: true, onGone };
    const siblings = this.#channels.get(reply.stream) ?? new Set();
    siblings.add(channel);
    this.#channels.set(reply.stream, siblings);
    return {
      id: channel.id,
      get open() {
        return channel.open;
      },
      send: (event, bytes) => this.#enqueue(channel, event, bytes),
      flush: () => this.#flush(),
      close: () => this.#close(channel),
    };
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Resolves when all that was queued is acknowledged, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.#events.size > 0 && Date.now() < deadline) {
      this.#flush();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #enqueue(channel: Channel, event: OutEvent, bytes: Uint8Array | undefined): void {
    if (!channel.open) return;
    const header = JSON.stringify({ c: channel.id, q: channel.sequence, ...event });
    // A result's value is in the header: a long directory listing is all header.
    const costBytes = EVENT_OVERHEAD_BYTES + header.length + (bytes?.byteLength ?? 0);
    if (this.#bufferedBytes + costBytes > BUFFER_BYTES) return this.#overrun(channel);
    this.#push(channel, header, bytes, costBytes);
  }

  #push(channel: Channel, header: string, bytes: Uint8Array | undefined, costBytes: number): void {
    channel.sequence += 1;
    const event = { channel, stream: channel.stream, header, bytes, costBytes, queuedAtMs: Date.now() };
    this.#events.set(this.#next++, event);
    this.#bufferedBytes += costBytes;
    this.#schedule();
  }

  /** The last word on a channel that can't be served: its reader may attach again by offset. */
  #overrun(channel: Channel): void {
    this.#log.warn('channel_overrun', { channel: channel.id, bufferedBytes: this.#bufferedBytes });
    this.#sayLastWord(channel);
    this.#gone(channel);
  }

  #sayLastWord(channel: Channel): void {
    const header = JSON.stringify({ c: channel.id, q: channel.sequence, ...letGo });
    this.#push(channel, header, undefined, EVENT_OVERHEAD_BYTES);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#broken || this.#redis.status !== 'ready') {
      this.#expire();
      if (this.#events.size > 0 && this.#expiryTimer === undefined) {
        this.#expiryTimer = setTimeout(() => this.#onExpiryTimer(), EXPIRY_CHECK_MS);
      }
      return;
    }
    this.#send();
  }

  /** All of it leaves as one write. */
  #send(): void {
    const { stream } = this.#redis;
    const generation = this.#generation;
    stream.cork();
    try {
      for (let batch = this.#takeUnsent(); batch; batch = this.#takeUnsent()) {
        const sent = batch;
        const command = new StreamEntry(sent.stream, sent.events);
        this.#redis.sendCommand(command);
        command.promise.then(
          (id: unknown) => this.#acknowledge(generation, sent, id),
          (error: Error) => this.#refuse(generation, sent, error),
        );
      }
    } finally {
      stream.uncork();
    }
  }

  /** What the next entry carries: in order, of one stream. */
  #takeUnsent(): Batch | undefined {
    let batch: Batch | undefined;
    let bytes = 0;
    for (; this.#unsent < this.#next; this.#unsent++) {
      const event = this.#events.get(this.#unsent);
      if (!event) continue;
      bytes += event.costBytes;
      batch ??= { stream: event.stream, numbers: [], events: [] };
      const full = batch.events.length > 0 && bytes > ENTRY_BYTES;
      if (full || event.stream !== batch.stream) break;
      batch.numbers.push(this.#unsent);
      batch.events.push(event);
    }
    return batch;
  }

  /** nil: the stream is gone. */
  #acknowledge(generation: number, batch: Batch, id: unknown): void {
    if (generation !== this.#generation) return;
    this.#forget(batch);
    if (id === null) this.#streamGone(batch.stream);
  }

  #refuse(generation: number, batch: Batch, error: Error): void {
    if (generation !== this.#generation) return;
    if (!isAnswer(error)) return this.#fail(generation, error);
    // Told on a live connection (wrong type, no permission, out of memory): it won't pass by itself.
    this.#log.error('publish_refused', { channel: batch.events[0]?.channel.id, events: batch.events.length, error });
    this.#forget(batch);
    this.#streamGone(batch.stream);
  }

  #forget({ numbers, events }: Batch): void {
    for (const [index, number] of numbers.entries()) {
      if (this.#events.delete(number)) this.#bufferedBytes -= events[index]?.costBytes ?? 0;
    }
  }

  #fail(generation: number, error: unknown): void {
    if (generation !== this.#generation) return;
    this.#log.warn('publish_interrupted', { error: error instanceof Error ? error : new Error(String(error)) });
    this.#broken = this.#redis.status === 'ready';
    this.#rewind();
  }

  /** What was on its way may not have arrived: all of it is sent again. */
  #rewind(): void {
    this.#generation++;
    this.#unsent = this.#events.keys().next().value ?? this.#next;
  }

  #onExpiryTimer(): void {
    this.#expiryTimer = undefined;
    this.#flush();
  }

  /** While Redis is away: gives up the channels whose oldest event has waited too long. */
  #expire(): void {
    const oldest = this.#events.values().next().value;
    if (!oldest || Date.now() - oldest.queuedAtMs < BUFFER_MS) return;
    const expired = new Set([...this.#events.values()].map((event) => event.channel));
    this.#log.warn('publisher_gave_up', { channels: expired.size, bufferedBytes: this.#bufferedBytes });
    this.#events.clear();
    this.#bufferedBytes = 0;
    this.#rewind();
    for (const channel of expired) {
      // Also to one that has said all: its end was in what is dropped here, and its reader would wait for it for ever.
      this.#untold.add(channel);
      this.#gone(channel);
    }
  }

  #streamGone(stream: string): void {
    for (const channel of this.#channels.get(stream) ?? []) this.#gone(channel);
  }

  #gone(channel: Channel): void {
    if (!channel.open) return;
    this.#close(channel);
    channel.onGone();
  }

  #close(channel: Channel): void {
    channel.open = false;
    const siblings = this.#channels.get(channel.stream);
    siblings?.delete(channel);
    if (siblings?.size === 0) this.#channels.delete(channel.stream);
  }
}

/** Redis itself has refused it, as opposed to not having been reached. */
const isAnswer = (error: Error): boolean => error.name === 'ReplyError';
