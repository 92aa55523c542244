import type { SandboxAccess } from '../access/sandbox-access.ts';
import type { Context, PortAnswer, PortContent, PortRequest, PortSocket } from '../ports.ts';
import { sandboxRefOf } from '../sandboxes/sandbox-ref.ts';
import { ensureAwake, isAsleep, wakeSandbox } from './wake-sandbox.ts';

/** A request to a server inside, by whoever may make it. Throws port_not_open, port_failed, sandbox_not_running, sandbox_ended, rate_limited … */
export const requestPort = (
  ctx: Context,
  access: SandboxAccess,
  request: PortRequest,
  content: PortContent,
): Promise<PortAnswer> =>
  awake(ctx, access, content, () =>
    ctx.broker.requestPort(sandboxRefOf(ctx, access.sandboxId), request, content, ctx.signal),
  );

/** The same for a WebSocket. */
export const openPortSocket = (
  ctx: Context,
  access: SandboxAccess,
  request: PortRequest,
  protocols: readonly string[],
): Promise<PortSocket | PortAnswer> =>
  awake(ctx, access, null, () =>
    ctx.broker.openPortSocket(sandboxRefOf(ctx, access.sandboxId), request, protocols, ctx.signal),
  );

/** Its runner may know of a pause sooner than its shard; a stream that has begun cannot be sent again. */
const awake = async <T>(
  ctx: Context,
  access: SandboxAccess,
  content: PortContent,
  work: () => Promise<T>,
): Promise<T> => {
  await ensureAwake(ctx, access);
  try {
    return await work();
  } catch (error) {
    const repeatable = content === null || content instanceof Uint8Array;
    if (!access.autoResume || !repeatable || !isAsleep(error)) throw error;
  }
  await wakeSandbox(ctx, access.sandboxId);
  return work();
};
