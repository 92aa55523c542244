import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

/** How long a sandbox may be on its way from one state to another before the caller is told so. */
const patienceMs = 30_000;
const firstDelayMs = 50;
const longestDelayMs = 1_000;

export const isConflict = (error: unknown): boolean => error instanceof ServiceError && error.code === 'conflict';

/**
 * Again and again while another change of the sandbox stands in the way. After patienceMs of that it throws `unavailable`: a conflict would
 * say that the wish can't be had, and some clients take it for one that is fulfilled already.
 */
export const whileConflict = async <T>(ctx: Context, attempt: () => Promise<T>): Promise<T> => {
  const giveUpAtMs = ctx.now() + patienceMs;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error) || ctx.signal.aborted) throw error;
      if (ctx.now() + delayMs > giveUpAtMs) throw stillChanging(error);
    }
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
};

const stillChanging = (cause: unknown): ServiceError =>
  new ServiceError('unavailable', 'Another change of the sandbox is still under way. Nothing was changed; try again.', {
    cause,
    retryAfterSeconds: 5,
  });
