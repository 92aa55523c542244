import { toHex } from '../core/hex.ts';
import { CONTENT_BYTES, type Transfer } from '../durable/transfer.ts';
import type { Env } from '../env.ts';

export type TransferStub = DurableObjectStub<Transfer>;

/** A one-time meeting place; the id is random and known to one runner only. */
export const transferStub = (env: Env, id: string): TransferStub => env.TRANSFER.get(env.TRANSFER.idFromName(id));

export const newTransferId = (): string => toHex(crypto.getRandomValues(new Uint8Array(32)));

const addressOf = (side: 'client' | 'runner', runnerId: string): string => `https://transfer/${side}/${runnerId}`;

export const receiveTransfer = (stub: TransferStub, side: 'client' | 'runner', runnerId: string): Promise<Response> =>
  stub.fetch(addressOf(side, runnerId));

export interface Outgoing {
  /** What was read of the body already. */
  start?: Uint8Array;
  body: ReadableStream<Uint8Array>;
  contentBytes: number | null;
  signal: AbortSignal;
}

/**
 * Sends a body there; answers when the other side has taken all of it. On its way between isolates a stream that was cut just ends, so
 * the end has to be vouched for: by the length where it is known, else by a second word after the last byte.
 */
export const sendTransfer = async (
  stub: TransferStub,
  side: 'client' | 'runner',
  runnerId: string,
  { start, body, contentBytes, signal }: Outgoing,
): Promise<Response> => {
  const address = addressOf(side, runnerId);
  if (contentBytes !== null && !start) {
    return stub.fetch(address, { method: 'PUT', body, signal, headers: { [CONTENT_BYTES]: String(contentBytes) } });
  }
  const { readable, writable } = new IdentityTransformStream();
  const answer = stub.fetch(address, { method: 'PUT', body: readable, signal });
  const pass = async () => {
    if (start) {
      const writer = writable.getWriter();
      await writer.write(start);
      writer.releaseLock();
    }
    await body.pipeTo(writable);
    await stub.fetch(address, { method: 'POST', signal });
  };
  const disown = async (error: unknown): Promise<never> => {
    await stub.fetch(address, { method: 'DELETE' });
    throw error;
  };
  const [response] = await Promise.all([answer, pass().catch(disown)]);
  return response;
};
