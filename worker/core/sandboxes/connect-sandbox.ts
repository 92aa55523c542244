import type { Sandbox } from '../../../db/cell.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { extendDeadline } from './extend-deadline.ts';
import { resumeSandbox } from './resume-sandbox.ts';
import { whileConflict } from './while-conflict.ts';

export interface ConnectedSandbox {
  sandbox: Sandbox;
  /** It was paused. */
  resumed: boolean;
}

/**
 * A sandbox that runs, for timeoutSeconds from now at least: a running one keeps a later deadline, a paused one is resumed and runs for
 * just so long, `memory` false with its files only. Waits for one that is being made, paused or resumed. Throws not_found, sandbox_ended,
 * conflict, or what the runner answered.
 */
export const connectSandbox = (
  ctx: Context,
  sandboxId: string,
  timeoutSeconds: number,
  memory = true,
): Promise<ConnectedSandbox> =>
  whileConflict(ctx, async () => {
    try {
      return { sandbox: await extendDeadline(ctx, sandboxId, timeoutSeconds), resumed: false };
    } catch (error) {
      if (!(error instanceof ServiceError && error.code === 'sandbox_not_running')) throw error;
    }
    if (timeoutSeconds < 1)
      throw new ServiceError('invalid_argument', 'A paused sandbox is resumed for 1 second at least.');
    return { sandbox: await resumeSandbox(ctx, sandboxId, timeoutSeconds, memory), resumed: true };
  });
