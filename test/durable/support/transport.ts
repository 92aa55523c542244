import type { InHeader, OutEvent } from '../../../runner/protocol/channel.ts';
import type { ProcessSpec } from '../../../runner/protocol/process.ts';
import { DeliveryError, type ChannelsListener } from '../../../worker/durable/broker/ports.ts';
import { Shard, type Transport } from '../../../worker/durable/broker/shard.ts';
import { hex } from './runner.ts';

interface Job {
  name: string;
  data: { reply: { channel: string }; process?: unknown; attach: { fromOffset: number | 'end'; creditBytes: number } };
  /** What the runner says on its channel, in order. */
  say(event: OutEvent, bytes?: string): void;
}

/** What delivers, with nothing behind it: jobs are kept, and the runner's words are the test's. Its clock is the test's, too. */
export class TransportDouble implements Transport {
  readonly jobs: Job[] = [];
  readonly told: { boot: string; header: InHeader }[] = [];
  boot: string | null = hex(16);
  connected = true;
  /** How the next words to the runner fail, in order. */
  readonly unsent: DeliveryError[] = [];
  /** How the next delivery fails. */
  refusal: Promise<never> | undefined;
  listener: ChannelsListener | undefined;

  async add(_queue: string, _jobId: string, name: string, data: unknown): Promise<void> {
    const { refusal } = this;
    this.refusal = undefined;
    if (refusal) await refusal;
    const job = data as Job['data'];
    let sequence = 0;
    const say: Job['say'] = (event, bytes) =>
      this.listener?.entry({ c: job.reply.channel, q: sequence++, ...event }, bytes ? Buffer.from(bytes) : undefined);
    this.jobs.push({ name, data: job, say });
  }

  /** The next delivery breaks off when the stream is lost, as it does with Redis. */
  loseNextDelivery(): () => void {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.refusal = promise;
    return () => {
      reject(new DeliveryError('refused', 'the connection is gone'));
      this.listener?.lost();
    };
  }

  get last(): Job {
    const job = this.jobs.at(-1);
    if (!job) throw new Error('nothing was delivered');
    return job;
  }

  async ready(): Promise<{ replyStream: string }> {
    return { replyStream: 'out' };
  }

  nowMs(): number {
    return Date.now();
  }

  async lease(): Promise<string | null> {
    return this.boot;
  }

  async leases(runnerIds: readonly string[]): Promise<Map<string, string | null>> {
    return new Map(runnerIds.map((id) => [id, this.boot]));
  }

  async send(_runnerId: string, boot: string, header: InHeader): Promise<boolean> {
    const failure = this.unsent.shift();
    if (failure) throw failure;
    this.told.push({ boot, header });
    return boot === this.boot;
  }

  async ping(): Promise<void> {}

  async close(): Promise<void> {}
}

export const shardOver = (transport: TransportDouble): Shard =>
  new Shard((listener) => {
    transport.listener = listener;
    return transport;
  });

export const ref = { tenantId: 'ten', sandboxId: 'box', requestId: 'req' };
export const liveRoute = {
  tenantId: 'ten',
  runnerId: 'runner',
  epoch: 1,
  revision: 1,
  state: 'running',
  deadlineMode: 'fixed',
} as const;
export const processSpec: ProcessSpec = {
  processId: hex(16),
  command: { kind: 'shell', script: 'true', login: false },
  env: {},
  user: 'user',
  stdin: 'null',
  stdinEnds: true,
};
