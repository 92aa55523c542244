import { and, eq } from 'drizzle-orm';
import { sandboxes, type EgressRules, type Sandbox } from '../../../db/cell.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { allows } from '../sandbox-state.ts';
import { changeSandbox } from './change-sandbox.ts';
import { requireEgressRules } from './egress-rules.ts';
import { getSandbox } from './get-sandbox.ts';
import { closeJob, envelopeOf, openJob, runnerOf } from './open-job.ts';
import { isAmbiguous } from './route.ts';

/**
 * Rules in place of all that it had. Answers once the runner has them in force, also on connections that are open; of a paused one, for when
 * it goes on, unless `atRest` refuses that. Throws invalid_argument, not_found, sandbox_not_running, sandbox_ended, conflict, or what the
 * runner answered.
 */
export const updateNetwork = async (
  ctx: Context,
  sandboxId: string,
  wanted: Readonly<{ allow: readonly string[]; deny: readonly string[] }>,
  { atRest = 'allowed' }: { atRest?: 'allowed' | 'refused' } = {},
): Promise<Sandbox> => {
  const egress = requireEgressRules(wanted);
  const before = await getSandbox(ctx, sandboxId);
  if (before.network === 'off' && allows('network', before)) {
    throw new ServiceError('invalid_argument', 'The sandbox was made without a network: rules would change nothing.');
  }
  if (atRest === 'refused' && before.state === 'paused' && allows('network', before)) {
    throw new ServiceError('sandbox_not_running', 'The sandbox is paused; resume it first.');
  }
  // On record from the start: where the answer is lost, the sweep delivers what is on record.
  const row = await openJob(ctx, sandboxId, 'network', { egress }, unchangedSince(before));
  try {
    await ctx.broker.lifecycle(
      'sandbox.network',
      runnerOf(row),
      { ...envelopeOf(ctx, row), egress },
      limits.lifecycleJobMs,
    );
  } catch (error) {
    if (!isAmbiguous(error)) await restore(ctx, row, before.egress);
    throw error;
  }
  return closeJob(ctx, row, 'network', {}, { kind: 'network', message: 'Network rules changed.' });
};

/** Or what is put back after a failure would be older than what was there. */
const unchangedSince = ({ revision }: Sandbox) => ({
  when: eq(sandboxes.revision, revision),
  refuse: async () => new ServiceError('conflict', 'Another change of the sandbox came in between; try again.'),
});

/** Known not to have happened. */
const restore = async (ctx: Context, row: Sandbox, egress: EgressRules): Promise<void> => {
  await changeSandbox(ctx, {
    sandboxId: row.id,
    when: and(eq(sandboxes.epoch, row.epoch), eq(sandboxes.revision, row.revision), eq(sandboxes.openJob, 'network')),
    set: { egress, openJob: null, openJobDeadlineMs: null },
  });
};
