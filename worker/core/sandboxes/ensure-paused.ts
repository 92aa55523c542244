import type { Context } from '../ports.ts';
import { publicStateOf } from '../sandbox-state.ts';
import { getSandbox } from './get-sandbox.ts';
import { pauseSandbox } from './pause-sandbox.ts';
import { isConflict, whileConflict } from './while-conflict.ts';

/**
 * Paused, by this call ('paused') or by an earlier one ('already', on its way perhaps). Waits for other changes that are under way, so that
 * who pauses beside a keep-alive is not told of it. Throws not_found, sandbox_ended, unavailable, or what the runner answered.
 */
export const ensurePaused = (ctx: Context, sandboxId: string, memory: boolean): Promise<'paused' | 'already'> =>
  whileConflict(ctx, async () => {
    try {
      await pauseSandbox(ctx, sandboxId, memory);
      return 'paused';
    } catch (error) {
      if (!isConflict(error)) throw error;
      const state = publicStateOf(await getSandbox(ctx, sandboxId));
      if (state === 'paused' || state === 'pausing') return 'already';
      throw error;
    }
  });
