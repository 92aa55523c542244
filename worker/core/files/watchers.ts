import { ServiceError } from '../errors.ts';
import type { Broker, Context, SandboxRef } from '../ports.ts';

/**
 * Watches whose events are fetched now and then. They live in the sandbox's agent, so that any isolate finds them and a runner that starts
 * anew loses none.
 */
type Watch = Parameters<Broker['watch']>[1];

export const createWatcher = (ctx: Context, ref: SandboxRef, watch: Watch): Promise<{ watcherId: string }> =>
  ctx.broker.file(ref, 'watcherCreate', watch);

/** Throws watcher_not_found. */
export const takeEvents = (ctx: Context, ref: SandboxRef, watcherId: string) =>
  ctx.broker.file(ref, 'watcherEvents', { watcherId: requireWatcherId(watcherId) });

/** Throws watcher_not_found. */
export const removeWatcher = async (ctx: Context, ref: SandboxRef, watcherId: string): Promise<void> => {
  await ctx.broker.file(ref, 'watcherRemove', { watcherId: requireWatcherId(watcherId) });
};

/** A malformed id is answered as a missing one. */
const requireWatcherId = (watcherId: string): string => {
  if (/^[0-9a-f]{32}$/.test(watcherId)) return watcherId;
  throw new ServiceError('watcher_not_found', 'There is no such watcher.');
};
