import type { InHeader } from '../../../runner/protocol/channel.ts';
import type { JobName } from '../../../runner/protocol/jobs.ts';

/**
 * What a shard needs from whatever delivers. Redis implements both (redis-*.ts); nothing else in durable/ knows of it.
 * Rejections are DeliveryError.
 */
export interface JobQueue {
  /** Resolves when the job is in the queue. A job with the same id that still waits there is not added twice. */
  add(queue: string, jobId: string, name: JobName, data: unknown): Promise<void>;
}

export interface Channels {
  /** The name under which this shard's answers are written, once it is certain that it exists. */
  ready(): Promise<{ replyStream: string }>;
  readonly connected: boolean;
  /** The delivering side's clock, Unix milliseconds. Only after ready(). */
  nowMs(): number;
  /** The boot of a runner that lives; null when its lease has run out. Answers of the last few seconds may be reused. */
  lease(runnerId: string): Promise<string | null>;
  /** As lease, for all given at once and always asked afresh. */
  leases(runnerIds: readonly string[]): Promise<Map<string, string | null>>;
  /** False: that life of the runner is over and nobody reads there. */
  send(runnerId: string, boot: string, header: InHeader, bytes?: Uint8Array): Promise<boolean>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface ChannelsListener {
  /** Entries of the shard's stream, in order; repeats are possible. */
  entry(header: unknown, bytes: Uint8Array | undefined): void;
  /** The stream is gone with what it held: whatever is in flight has to be asked for again, with a new reply stream. */
  lost(): void;
}

/** `refused`: certainly not delivered. `unknown`: the connection broke before the answer. */
export class DeliveryError extends Error {
  readonly kind: 'refused' | 'unknown';
  constructor(kind: 'refused' | 'unknown', message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DeliveryError';
    this.kind = kind;
  }
}
