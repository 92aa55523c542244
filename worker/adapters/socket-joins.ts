import { toHex } from '../core/hex.ts';
import type { Env } from '../env.ts';

/** A one-time meeting place of two WebSockets; the id is random and known to one runner only. */
export const newSocketId = (): string => toHex(crypto.getRandomValues(new Uint8Array(32)));

/** Answers the upgrade once the other side is there. */
export const joinSocket = (
  env: Env,
  socketId: string,
  side: 'client' | 'runner',
  runnerId: string,
): Promise<Response> =>
  env.SOCKET.get(env.SOCKET.idFromName(socketId)).fetch(`https://socket/${side}/${runnerId}`, {
    headers: { upgrade: 'websocket' },
  });
