import type { Broker } from '../durable/broker/broker.ts';
import { shardOf } from '../core/ids.ts';
import { ServiceError } from '../core/errors.ts';
import { unwrap, type Outcome } from '../durable/broker/outcome.ts';
import type { Env, Settings } from '../env.ts';
import { BrokerGone } from './broker-gone.ts';

export type BrokerStub = DurableObjectStub<Broker>;

/** Ids are values and may be kept; stubs belong to the request that they serve. */
export class Brokers {
  readonly #env: Env;
  readonly #count: number;
  readonly #ids = new Map<number, DurableObjectId>();

  constructor(env: Env, settings: Settings) {
    this.#env = env;
    this.#count = settings.BROKER_COUNT;
  }

  ofSandbox(sandboxId: string): BrokerStub {
    return this.at(shardOf(sandboxId));
  }

  at(logicalShard: number): BrokerStub {
    const shard = logicalShard % this.#count;
    let id = this.#ids.get(shard);
    if (!id) {
      id = this.#env.BROKER.idFromName(`broker-${shard}`);
      this.#ids.set(shard, id);
    }
    return this.#env.BROKER.get(id);
  }
}

/** The value, the ServiceError that the shard answered, or BrokerGone. */
export const ask = async <T>(answer: Promise<Outcome<T>>): Promise<T> => {
  let outcome: Outcome<T>;
  try {
    outcome = await answer;
  } catch (error) {
    throw new BrokerGone('the Broker shard broke off', { cause: error });
  }
  return unwrap(outcome);
};

/** For what may be done twice: once more with a new stub. */
export const askTwice = async <T>(answer: () => Promise<Outcome<T>>): Promise<T> => {
  try {
    return await ask(answer());
  } catch (error) {
    if (!(error instanceof BrokerGone)) throw error;
  }
  return askOnce(answer());
};

/** For what may not: the caller is told that it may have been done. */
export const askOnce = async <T>(answer: Promise<Outcome<T>>): Promise<T> => {
  try {
    return await ask(answer);
  } catch (error) {
    if (!(error instanceof BrokerGone)) throw error;
    throw new ServiceError(
      'runner_lost',
      'The connection to the sandbox was lost before the answer came. It may have been done.',
      { cause: error },
    );
  }
};
