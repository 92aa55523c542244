import { z } from '@hono/zod-openapi';
import { ServiceError } from '../../core/errors.ts';
import type { Context } from '../../core/ports.ts';

const message = 'a timeout is a whole number of seconds, 0 or more';

/** Seconds. What is too long for anybody is left to withinLimit, which says it in E2B's words. */
export const timeoutInput = z.int(message).min(0, message).max(2_147_483_647, 'a timeout is a 32-bit number');

/** The tenant's limit, as E2B says it. Throws invalid_argument. */
export const withinLimit = (ctx: Context, timeoutSeconds: number): number => {
  const { maxTtlSeconds } = ctx.actor.tenant;
  if (timeoutSeconds <= maxTtlSeconds) return timeoutSeconds;
  const hours = Number((maxTtlSeconds / 3600).toFixed(4));
  throw new ServiceError('invalid_argument', `Timeout cannot be greater than ${hours} hours`);
};

/** Of a sandbox that is to run from now: no time at all is none. Absent: the default, as far as the tenant may. */
export const runningTime = (ctx: Context, given: number | undefined, defaultSeconds: number): number => {
  if (given === undefined) return Math.min(defaultSeconds, ctx.actor.tenant.maxTtlSeconds);
  if (given === 0) throw new ServiceError('invalid_argument', 'Timeout must be greater than 0');
  return withinLimit(ctx, given);
};
