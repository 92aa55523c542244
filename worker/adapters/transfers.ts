import type { Transfer } from '../durable/transfer.ts';
import type { Env } from '../env.ts';

/** A one-time meeting place; the id is random and known to one runner only. */
export const transferStub = (env: Env, id: string): DurableObjectStub<Transfer> =>
  env.TRANSFER.get(env.TRANSFER.idFromName(id));

export const newTransferId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => byte.toString(16).padStart(2, '0')).join('');
