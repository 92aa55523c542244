import { Worker, type Job } from 'bullmq';
import { Redis } from 'ioredis';
import { streamFields, type InHeader, type OutEvent } from '../../../runner/protocol/channel.ts';
import { execQueueName, inStreamName, leaseKey, lifecycleQueueName } from '../../../runner/protocol/ids.ts';
import type { JobName } from '../../../runner/protocol/jobs.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { waitFor } from '../../wait-for.ts';

export const hex = (bytes: number): string =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');

export interface Delivered {
  name: JobName;
  // Whatever the edge put in: the tests say what they expect of it.
  data: Record<string, never> & { reply: { stream: string; channel: string } };
  say: Say;
  /** All of them by one entry of the stream. */
  sayTogether: (...said: Said[]) => Promise<boolean>;
}

type Said = [event: OutEvent, bytes?: Uint8Array];
type Say = (...said: Said) => Promise<boolean>;

/** A runner as the Broker sees one: a real BullMQ consumer, a lease, an in-stream; what it answers is the test's to say. */
export class TestRunner {
  readonly id: string;
  readonly boot = hex(16);
  readonly heard: { header: InHeader; bytes: Buffer | undefined }[] = [];
  readonly delivered: Delivered[] = [];
  onJob: (job: Delivered) => Promise<void> | void = () => undefined;
  onControl: (header: Extract<InHeader, { t: 'control' }>, say: Say) => void = () => undefined;
  readonly #url: string;
  readonly #clients: Redis[] = [];
  readonly #workers: Worker[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(redisUrl: string, id = hex(8)) {
    this.id = id;
    this.#url = redisUrl;
  }

  async start(): Promise<this> {
    const out = this.#client();
    const renew = async () => {
      await out.set(leaseKey(this.id), this.boot, 'PX', limits.leaseMs);
      if ((await out.exists(inStreamName(this.id, this.boot))) === 0)
        await out.xadd(inStreamName(this.id, this.boot), '*', 'h', '{}');
    };
    await renew();
    this.#timer = setInterval(() => void renew().catch(() => undefined), 500);
    for (const queue of [execQueueName(this.id), lifecycleQueueName(this.id)]) {
      const worker = new Worker(queue, (job) => this.#take(job, out), { connection: this.#client(), concurrency: 64 });
      worker.on('error', () => undefined);
      this.#workers.push(worker);
    }
    void this.#listen(this.#client(), out).catch(() => undefined);
    await Promise.all(this.#workers.map((worker) => worker.waitUntilReady()));
    return this;
  }

  async #take(job: Job, out: Redis): Promise<void> {
    const data = job.data as Delivered['data'];
    const sayTogether = this.#speaker(out, data.reply);
    const say: Say = (...said) => sayTogether(said);
    const delivered = { name: job.name as JobName, data, say, sayTogether };
    this.delivered.push(delivered);
    await this.onJob(delivered);
  }

  #speaker(out: Redis, reply: { stream: string; channel: string }) {
    let sequence = 0;
    return async (...said: Said[]): Promise<boolean> => {
      const fields = said.flatMap(([event, bytes]): (string | Buffer)[] => [
        streamFields.header,
        JSON.stringify({ c: reply.channel, q: sequence++, ...event }),
        ...(bytes ? [streamFields.bytes, Buffer.from(bytes)] : []),
      ]);
      return (await out.xadd(reply.stream, 'NOMKSTREAM', '*', ...fields)) !== null;
    };
  }

  async #listen(client: Redis, out: Redis): Promise<void> {
    let last = '0-0';
    while (this.#timer) {
      const reply = (await client.callBuffer(
        'XREAD',
        'BLOCK',
        1000,
        'STREAMS',
        inStreamName(this.id, this.boot),
        last,
      )) as [Buffer, [Buffer, Buffer[]][]][] | null;
      for (const [id, fields] of reply?.[0]?.[1] ?? []) {
        last = id.toString();
        const header = JSON.parse(fields[1]?.toString() ?? '{}') as InHeader;
        this.heard.push({ header, bytes: fields[3] });
        if (header.t !== 'control') continue;
        const speak = this.#speaker(out, { stream: header.out, channel: header.c });
        this.onControl(header, (...said) => speak(said));
      }
    }
  }

  #client(): Redis {
    const client = new Redis(this.#url, { maxRetriesPerRequest: null, protocol: 2, retryStrategy: () => 100 });
    client.on('error', () => undefined);
    this.#clients.push(client);
    return client;
  }

  /** The nth job of a kind, once it has come. */
  job(name: JobName, index = 0, timeoutMs = 10_000): Promise<Delivered> {
    return waitFor(
      `job ${name} no. ${index}`,
      () => this.delivered.filter((job) => job.name === name)[index],
      timeoutMs,
    );
  }

  told(kind: InHeader['t']): InHeader[] {
    return this.heard.filter(({ header }) => header.t === kind).map(({ header }) => header);
  }

  /** As if it had been killed: its lease is left to run out. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await Promise.all(this.#workers.map((worker) => worker.close(true).catch(() => undefined)));
    for (const client of this.#clients) client.disconnect();
  }
}

export const exited = (offset: number): OutEvent => ({
  t: 'exit',
  o: offset,
  exit: { exitCode: 0, signal: null, reason: 'exited', durationMs: 1, droppedStdoutBytes: 0, droppedStderrBytes: 0 },
});
