import { randomBytes } from 'node:crypto';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { outHeader, type InHeader, type OutHeader } from '../../../runner/protocol/channel.ts';
import { execQueueName, lifecycleQueueName, outStreamName } from '../../../runner/protocol/ids.ts';
import { jobCatalog, type JobData, type JobName } from '../../../runner/protocol/jobs.ts';
import { waitFor } from '../../wait-for.ts';
import type { TestRedis } from './redis-server.ts';

export type Event = OutHeader & { bytes?: Buffer };
export const hex = (bytes: number): string => randomBytes(bytes).toString('hex');
export const newSandboxId = (): string => `${hex(6)}4${hex(8).slice(0, 3)}8${hex(8).slice(0, 15)}`;

/** What a Broker shard does, as small as a test needs it: queues jobs, reads its own stream, grants no more than it was asked to. */
export class TestEdge {
  readonly stream = outStreamName('shard', hex(8));
  readonly #events = new Map<string, Event[]>();
  readonly #redis: Redis;
  readonly #reader: Redis;
  readonly #queues = new Map<string, Queue>();
  readonly #runnerId: string;
  readonly #inStream: () => string;
  #stopped = false;
  #lastId = '0-0';

  constructor(redis: TestRedis, runnerId: string, inStream: () => string) {
    this.#redis = redis.client();
    this.#reader = redis.client();
    this.#runnerId = runnerId;
    this.#inStream = inStream;
  }

  async start(): Promise<void> {
    await this.makeStream();
    void this.#read();
  }

  async makeStream(): Promise<void> {
    await this.#redis.xadd(this.stream, '*', 'created', '1');
  }

  dropStream(): Promise<number> {
    return this.#redis.del(this.stream);
  }

  async nowMs(): Promise<number> {
    const [seconds, micros] = await this.#redis.time();
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  }

  /** Queues a job; its events come by the channel that is answered. */
  async deliver<N extends JobName>(
    name: N,
    sandbox: { sandboxId: string; epoch?: number },
    rest: Partial<JobData<N>>,
    channel = hex(16),
  ): Promise<string> {
    const queueName = jobCatalog[name].queue === 'exec' ? execQueueName : lifecycleQueueName;
    const base = {
      epoch: 1,
      tenantId: 'tenant',
      requestId: `r-${channel.slice(0, 6)}`,
      reply: { stream: this.stream, channel },
      ...(jobCatalog[name].queue === 'exec' ? { startByMs: (await this.nowMs()) + 5_000 } : {}),
      ...sandbox,
    };
    await this.#queue(queueName(this.#runnerId)).add(name, { ...base, ...rest }, { jobId: hex(12) });
    return channel;
  }

  /** All that came on a channel, once `enough` says so. */
  async until(channel: string, enough: (events: Event[]) => boolean, timeoutMs = 10_000): Promise<Event[]> {
    return waitFor(
      `events on ${channel}`,
      () => {
        const events = this.#events.get(channel) ?? [];
        return enough(events) && events;
      },
      timeoutMs,
      2,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(this.#events.get(channel) ?? []).slice(0, 500)}`);
    });
  }

  events(channel: string): Event[] {
    return this.#events.get(channel) ?? [];
  }

  /** Delivers and waits for the last event. */
  async call<N extends JobName>(
    name: N,
    sandbox: { sandboxId: string; epoch?: number },
    rest: Partial<JobData<N>>,
    timeoutMs = 15_000,
  ): Promise<Event[]> {
    const channel = await this.deliver(name, sandbox, rest);
    const last = jobCatalog[name].result === null ? ['exit', 'end', 'error'] : ['result', 'error'];
    return this.until(channel, (events) => events.some((event) => last.includes(event.t)), timeoutMs);
  }

  async say(header: InHeader, bytes?: Buffer): Promise<string | null> {
    const fields = bytes ? ['d', bytes] : [];
    const args = [this.#inStream(), 'NOMKSTREAM', '*', 'h', JSON.stringify(header), ...fields];
    return (await this.#redis.call('XADD', ...args)) as string | null;
  }

  async close(): Promise<void> {
    this.#stopped = true;
    for (const queue of this.#queues.values()) await queue.close();
    this.#redis.disconnect();
    this.#reader.disconnect();
  }

  #queue(name: string): Queue {
    const queue = this.#queues.get(name) ?? new Queue(name, { connection: this.#redis });
    this.#queues.set(name, queue);
    return queue;
  }

  async #read(): Promise<void> {
    while (!this.#stopped) {
      try {
        const args = ['COUNT', 500, 'BLOCK', 1000, 'STREAMS', this.stream, this.#lastId];
        const reply = (await this.#reader.callBuffer('XREAD', ...args)) as [Buffer, [Buffer, Buffer[]][]][] | null;
        for (const [id, fields] of reply?.[0]?.[1] ?? []) this.#take(String(id), fields);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50)); // Redis is away: again, until closed
      }
    }
  }

  #take(id: string, fields: Buffer[]): void {
    this.#lastId = id;
    for (let index = 0; index + 1 < fields.length; index += 2) {
      if (String(fields[index]) !== 'h') continue;
      const bytes = String(fields[index + 2]) === 'd' ? fields[index + 3] : undefined;
      this.#event(outHeader.parse(JSON.parse(String(fields[index + 1]))), bytes);
    }
  }

  #event(header: OutHeader, bytes: Buffer | undefined): void {
    const events = this.#events.get(header.c) ?? [];
    this.#events.set(header.c, events);
    if (header.q < events.length) return; // a repeat
    if (header.q > events.length) throw new Error(`a gap on ${header.c}: ${header.q} after ${events.length}`);
    events.push({ ...header, ...(bytes ? { bytes } : {}) });
  }
}
