import type { OutHeader } from '../../../runner/protocol/channel.ts';
import { errorFromRunner, type ServiceError } from '../../core/errors.ts';
import type { Channel, Receiver } from './channel.ts';
import { runnerLost, type Shard } from './shard.ts';

/** Waits for the one result of a job or of a control entry. */
export class UnaryCall implements Receiver {
  readonly #settle: { resolve(value: unknown): void; reject(error: unknown): void };
  readonly result: Promise<unknown>;

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.result = promise;
    this.#settle = { resolve, reject };
    // It may be rejected before anyone waits for it.
    promise.catch(() => undefined);
  }

  event(header: OutHeader): void {
    if (header.t === 'result') this.#settle.resolve(header.value);
    else if (header.t === 'error') this.#settle.reject(errorFromRunner(header.fault));
    else if (header.t === 'lagged' && header.resumable) this.lost();
    else if (header.t !== 'accepted') this.fail(runnerLost(new Error(`unexpected event ${header.t}`)));
  }

  fail(error: ServiceError): void {
    this.#settle.reject(error);
  }

  lost(): void {
    this.fail(runnerLost(new Error('the answer was lost')));
  }
}

/** The result of a delivered call, by its deadline (or the shard's next tick); the channel is closed whatever happens. */
export const resultOf = async (
  shard: Shard,
  call: UnaryCall,
  channel: Channel,
  timeoutMs: number,
): Promise<unknown> => {
  channel.answerByMs = Date.now() + timeoutMs;
  try {
    return await call.result;
  } finally {
    shard.close(channel);
  }
};
