import { ServiceError } from '../errors.ts';
import type { Context, PlacementRequest } from '../ports.ts';

type Wish = Omit<PlacementRequest, 'network'> & { network: 'on' | 'off' | undefined };

/** A reserved place. An absent network means on, or off where no runner has its network rules in place. */
export const placeSandbox = async (
  ctx: Context,
  sandboxId: string,
  wish: Wish,
): Promise<{ runnerId: string; network: 'on' | 'off' }> => {
  const request: PlacementRequest = {
    template: wish.template,
    network: wish.network ?? 'on',
    cpus: wish.cpus,
    memoryMiB: wish.memoryMiB,
    exclude: wish.exclude,
    prefer: wish.prefer,
    restoresMemory: wish.restoresMemory,
  };
  const place = await ctx.fleet.place(sandboxId, request);
  if (place) return { ...place, network: request.network };
  const { online, networks } = await ctx.fleet.summary();
  if (online > 0 && !networks.includes(request.network)) {
    const other = wish.network === undefined ? await ctx.fleet.place(sandboxId, { ...request, network: 'off' }) : null;
    if (other) return { ...other, network: 'off' };
    if (wish.network === 'on') {
      throw new ServiceError('invalid_argument', "No runner offers network 'on'; ask for network 'off'.", {
        issues: [{ path: 'network', message: 'not offered' }],
      });
    }
  }
  throw new ServiceError('capacity_exhausted', 'No runner has room for this sandbox now; try again shortly.', {
    retryAfterSeconds: 5,
  });
};
