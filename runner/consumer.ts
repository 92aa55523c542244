import { Worker, type Job, type WorkerOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Logger } from './log.ts';
import { execQueueName, lifecycleQueueName } from './protocol/ids.ts';
import { jobCatalog, type ExecJobName, type JobData, type JobName, type LifecycleJobName } from './protocol/jobs.ts';

/** Deliveries under way at once. Exec jobs are handed over within a turn of the event loop; lifecycle jobs are held until done. */
const EXEC_CONCURRENCY = 256;
const LIFECYCLE_CONCURRENCY = 512;
/** After a crash a held job is found stalled within LOCK_MS + STALLED_CHECK_MS and delivered again. */
const LOCK_MS = 10_000;
const STALLED_CHECK_MS = 5_000;
const LIFECYCLE_REDELIVERIES = 3;
/** After an error of the connection. BullMQ's own 15 s would outlast every caller's patience. */
const RETRY_MS = 500;
const DRAIN_DELAY_SECONDS = 5;

interface ConsumerParts {
  redis: Redis;
  runnerId: string;
  onExec<N extends ExecJobName>(name: N, data: JobData<N>): void;
  onLifecycle<N extends LifecycleJobName>(name: N, data: JobData<N>): Promise<void>;
  log: Logger;
}

/**
 * Two queues, since how often a stalled job may be delivered belongs to a worker: an exec job never again (its command may have
 * run), a lifecycle job until it is answered.
 */
export class Consumer {
  readonly #exec: Worker;
  readonly #lifecycle: Worker;

  constructor(parts: ConsumerParts) {
    const { redis, runnerId, log } = parts;
    this.#exec = new Worker(
      execQueueName(runnerId),
      async (job: Job) => {
        deliver('exec', job, log, (name, data) => parts.onExec(name as ExecJobName, data as JobData<ExecJobName>));
      },
      { ...options(redis), concurrency: EXEC_CONCURRENCY, maxStalledCount: 0 },
    );
    this.#lifecycle = new Worker(
      lifecycleQueueName(runnerId),
      async (job: Job) => {
        await deliver('lifecycle', job, log, (name, data) =>
          parts.onLifecycle(name as LifecycleJobName, data as JobData<LifecycleJobName>),
        );
      },
      { ...options(redis), concurrency: LIFECYCLE_CONCURRENCY, maxStalledCount: LIFECYCLE_REDELIVERIES },
    );
    for (const worker of [this.#exec, this.#lifecycle]) {
      worker.on('error', (error) => log.warn('consumer_error', { queue: worker.name, error }));
      worker.on('stalled', (jobId) => log.warn('job_stalled', { queue: worker.name, jobId }));
    }
  }

  /** Begins to take jobs. Resolves once both queues are listened on. */
  async start(): Promise<void> {
    await Promise.all([this.#exec.waitUntilReady(), this.#lifecycle.waitUntilReady()]);
    for (const worker of [this.#exec, this.#lifecycle]) void worker.run(); // its errors come by the 'error' event
  }

  /** Takes no more; resolves when the lifecycle jobs under way are answered. */
  async stop(): Promise<void> {
    await Promise.all([this.#exec.close(), this.#lifecycle.close()]);
  }
}

function options(redis: Redis): WorkerOptions {
  return {
    connection: redis,
    autorun: false,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    drainDelay: DRAIN_DELAY_SECONDS,
    runRetryDelay: RETRY_MS,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  };
}

/** A job that isn't in the catalog, on this queue, with data of its shape, is a mistake of the edge's: dropped, and told loudly. */
function deliver<T>(
  queue: 'exec' | 'lifecycle',
  job: Job,
  log: Logger,
  take: (name: JobName, data: unknown) => T,
): T | undefined {
  const name = Object.hasOwn(jobCatalog, job.name) ? (job.name as JobName) : undefined;
  if (!name || jobCatalog[name].queue !== queue) {
    log.error('job_unknown', { queue, name: job.name.slice(0, 64), jobId: job.id });
    return undefined;
  }
  const parsed = jobCatalog[name].data.safeParse(job.data);
  if (!parsed.success) {
    const where = parsed.error.issues.map((issue) => issue.path.join('.')).join(' ');
    log.error('job_malformed', { queue, name, jobId: job.id, where: where.slice(0, 300) });
    return undefined;
  }
  return take(name, parsed.data);
}
