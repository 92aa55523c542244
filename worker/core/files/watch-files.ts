import { openedEvents } from '../opened-events.ts';
import type { Broker, Context, EventStream, SandboxRef } from '../ports.ts';

type Watch = Parameters<Broker['watch']>[1];

/** Changes below a path. The runner's first event, empty, says that the watch is in place: what changes after this resolves is seen. */
export const watchFiles = async (ctx: Context, ref: SandboxRef, watch: Watch): Promise<EventStream> =>
  openedEvents(await ctx.broker.watch(ref, watch));
