import { monotonicMs } from '../clock.ts';
import { changeDeadline } from '../sandboxes/deadline.ts';
import { endedMeanwhile, rest } from '../sandboxes/resting.ts';
import { memoryOf } from '../sandboxes/sandbox.ts';
import { expiresAtMs } from '../sandboxes/table.ts';
import type { LifecycleHandler } from './handler.ts';
import { getSteady } from './sandbox-pause.ts';

export const changeSandboxDeadline: LifecycleHandler<'sandbox.deadline'> = async (context, job) => {
  const { sandboxes } = context;
  const { sandbox, home } = getSteady(sandboxes, job.sandboxId);
  if (job.ttlMs === 0 && !job.onlyExtend) {
    if (sandbox.onTimeout === 'kill' || sandbox.state === 'paused') {
      await sandboxes.end(sandbox, 'timeout');
      return { state: 'ended', expiresAtMs: null };
    }
    await rest(context, sandbox, home, sandbox.keepMemory);
  } else {
    sandboxes.setDeadline(sandbox, changeDeadline(sandbox.deadline, job, monotonicMs()));
  }
  if (sandbox.state !== 'running' && sandbox.state !== 'paused') throw endedMeanwhile();
  return { state: sandbox.state, expiresAtMs: expiresAtMs(sandbox), ...memoryOf(sandbox) };
};
