import { monotonicMs } from '../clock.ts';
import { changeDeadline } from '../sandboxes/deadline.ts';
import { expiresAtMs } from '../sandboxes/table.ts';
import type { LifecycleHandler } from './handler.ts';
import { getSteady } from './sandbox-pause.ts';

export const changeSandboxDeadline: LifecycleHandler<'sandbox.deadline'> = async ({ sandboxes }, job) => {
  const { sandbox } = getSteady(sandboxes, job.sandboxId);
  if (job.ttlMs === 0 && !job.onlyExtend) {
    await sandboxes.end(sandbox, 'timeout');
    return { state: 'ended', expiresAtMs: null };
  }
  sandboxes.setDeadline(sandbox, changeDeadline(sandbox.deadline, job, monotonicMs()));
  return { state: sandbox.state === 'paused' ? 'paused' : 'running', expiresAtMs: expiresAtMs(sandbox) };
};
