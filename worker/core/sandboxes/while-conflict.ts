import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

/** How long a sandbox may be on its way from one state to another before the caller is told so. */
const patienceMs = 30_000;
const firstDelayMs = 50;
const longestDelayMs = 1_000;

export const isConflict = (error: unknown): boolean => error instanceof ServiceError && error.code === 'conflict';

/** Again and again while another change of the sandbox stands in the way, until patienceMs have passed: then its conflict is thrown. */
export const whileConflict = async <T>(ctx: Context, attempt: () => Promise<T>): Promise<T> => {
  const giveUpAtMs = ctx.now() + patienceMs;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error) || ctx.now() + delayMs > giveUpAtMs || ctx.signal.aborted) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
};
