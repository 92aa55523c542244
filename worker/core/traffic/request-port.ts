import type { SandboxAccess } from '../access/sandbox-access.ts';
import { ServiceError } from '../errors.ts';
import type { Context, PortAnswer, PortContent, PortRequest, PortSocket } from '../ports.ts';
import { sandboxRefOf } from '../sandboxes/sandbox-ref.ts';
import { limits } from './limits.ts';
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

const admitToPort = async (ctx: Context, { sandboxId, tenant }: SandboxAccess): Promise<void> => {
  const { portRequestsPerSecond, portRequestsPerTenantAndSecond } = limits;
  const [ofSandbox, ofTenant] = await Promise.all([
    ctx.broker.takeRequest(`port-${sandboxId}`, portRequestsPerSecond),
    ctx.broker.takeRequest(`ports-${tenant.id}`, portRequestsPerTenantAndSecond),
  ]);
  if (!ofSandbox) throw tooOften(`The sandbox’s ports take ${portRequestsPerSecond} requests a second together`);
  if (!ofTenant)
    throw tooOften(`The ports of all its sandboxes take ${portRequestsPerTenantAndSecond} requests a second`);
};

const tooOften = (what: string): ServiceError =>
  new ServiceError('rate_limited', `${what}; wait a second and try again.`, { retryAfterSeconds: 1 });

/** Its runner may know of a pause sooner than its shard; a stream that has begun cannot be sent again. */
const awake = async <T>(
  ctx: Context,
  access: SandboxAccess,
  content: PortContent,
  work: () => Promise<T>,
): Promise<T> => {
  await admitToPort(ctx, access);
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
