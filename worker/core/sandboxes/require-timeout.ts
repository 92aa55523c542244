import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

export const requireTimeout = (ctx: Context, timeoutSeconds: number): void => {
  const { maxTtlSeconds } = ctx.actor.tenant;
  if (timeoutSeconds <= maxTtlSeconds) return;
  throw new ServiceError('invalid_argument', `timeoutSeconds is over the tenant's limit of ${maxTtlSeconds} seconds.`, {
    issues: [{ path: 'timeoutSeconds', message: `at most ${maxTtlSeconds} seconds` }],
  });
};
