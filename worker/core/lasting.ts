import type { Context } from './ports.ts';

const nothing = (): void => undefined;

/**
 * Work that leaves bytes behind when it ends in its middle. Without this the runtime ends a request, and runs no `finally` of it, as soon as it
 * notices that the client is gone; so it has up to 30 s more, enough to finish or to clean up.
 */
export const lasting = <T>(ctx: Pick<Context, 'after'>, work: Promise<T>): Promise<T> => {
  // A failure is the caller's to tell.
  ctx.after(work.then(nothing, nothing));
  return work;
};
