/**
 * Mutual exclusion between processes of one machine by abstract Unix sockets: the kernel releases them when the holder
 * dies, by kill -9 too, so there is no stale state to judge. Connecting tells who holds it, and when it is released.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { mutexAddress, readHolder } from './holder.mjs';

export interface Held {
  release(): Promise<void>;
}

function listen(name: string, note: () => string): Promise<Held | undefined> {
  const waiting = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    waiting.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => waiting.delete(socket));
    socket.write(`${note()}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(mutexAddress(name), () => {
      server.unref();
      resolve({
        release: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of waiting) socket.destroy();
          }),
      });
    });
  });
}

function waitForRelease(name: string, deadlineMs: number): Promise<void> {
  const socket = connect(mutexAddress(name));
  socket.setTimeout(deadlineMs, () => socket.destroy());
  return text(socket).then(
    () => undefined,
    () => undefined,
  );
}

/** Takes the mutex if it is free. `note` is read anew each time that another process asks who holds it. */
export function tryHold(name: string, note: () => string): Promise<Held | undefined> {
  return listen(name, note);
}

/** Runs `work` while holding the mutex; throws if it can't be had within the deadline. */
export async function withMutex<T>(name: string, deadlineMs: number, work: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + deadlineMs;
  for (;;) {
    const held = await listen(name, () => `pid ${process.pid}`);
    if (held) {
      try {
        return await work();
      } finally {
        await held.release();
      }
    }
    const leftMs = giveUpAt - performance.now();
    if (leftMs <= 0) throw new Error(`${name} is held by ${(await readHolder(name)) ?? 'nobody'} for too long`);
    await waitForRelease(name, Math.ceil(leftMs));
  }
}
