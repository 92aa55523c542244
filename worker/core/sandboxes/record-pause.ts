import type { Sandbox } from '../../../db/cell.ts';
import type { SandboxOutcome } from '../../../runner/protocol/jobs.ts';
import type { Context } from '../ports.ts';
import { closeJob } from './open-job.ts';
import { pausedBy } from './paused-by.ts';

/** A deadline came too late: its runner has paused the sandbox at the one before, and the record has not heard of it yet. */
export const recordPause = (ctx: Context, row: Sandbox, outcome: SandboxOutcome): Promise<Sandbox> =>
  closeJob(ctx, row, 'deadline', pausedBy(outcome, ctx.now()), { kind: 'paused', message: 'Paused at its timeout.' });
