import type { SandboxAccess } from '../access/sandbox-access.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { publicStateOf } from '../sandbox-state.ts';
import { getSandbox } from '../sandboxes/get-sandbox.ts';
import { resumeSandbox } from '../sandboxes/resume-sandbox.ts';
import { sandboxRefOf } from '../sandboxes/sandbox-ref.ts';
import { limits } from './limits.ts';

/** Traffic to a sandbox that wants to be woken by it: resolves once it runs. Others are left as they are, and cost nothing. */
export const ensureAwake = async (ctx: Context, access: SandboxAccess): Promise<void> => {
  if (!access.autoResume) return;
  try {
    await ctx.broker.ensureRunning(sandboxRefOf(ctx, access.sandboxId));
  } catch (error) {
    if (!isAsleep(error)) throw error;
    await wakeSandbox(ctx, access.sandboxId);
  }
};

export const isAsleep = (error: unknown): boolean =>
  error instanceof ServiceError && error.code === 'sandbox_not_running';

/**
 * Resumes it with the timeout that it had. Of many at once, in whatever isolate, one does it and the others wait: the state of record lets one
 * job begin. Attempts are limited for each sandbox, so that one which cannot be resumed costs no more by being asked often.
 */
export const wakeSandbox = async (ctx: Context, sandboxId: string): Promise<void> => {
  const untilMs = ctx.now() + limits.wakeMs;
  let state = publicStateOf(await getSandbox(ctx, sandboxId));
  while (state !== 'running') {
    if (state === 'ending' || state === 'ended') throw new ServiceError('sandbox_ended', 'The sandbox has ended.');
    if (state === 'paused' && (await mayTry(ctx, sandboxId)) && (await tryResume(ctx, sandboxId))) return;
    if (ctx.now() > untilMs) {
      throw new ServiceError('conflict', 'The sandbox is still transitioning. Try again in a moment.');
    }
    await new Promise((resolve) => setTimeout(resolve, limits.wakePollMs));
    state = publicStateOf(await getSandbox(ctx, sandboxId));
  }
};

const mayTry = (ctx: Context, sandboxId: string): Promise<boolean> =>
  ctx.broker.takeRequest(`wake-${sandboxId}`, limits.wakesPerSecond);

/** False: somebody else is at it. It goes on if its caller goes away. */
const tryResume = async (ctx: Context, sandboxId: string): Promise<boolean> => {
  const resuming = resumeSandbox(ctx, sandboxId, undefined);
  ctx.after(
    resuming.then(
      () => undefined,
      () => undefined,
    ),
  );
  try {
    await resuming;
    return true;
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'conflict') return false;
    throw error;
  }
};
