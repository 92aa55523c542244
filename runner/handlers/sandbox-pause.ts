import { monotonicMs } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { changeDeadline, resumeDeadline } from '../sandboxes/deadline.ts';
import { endedMeanwhile, rest, wake } from '../sandboxes/resting.ts';
import { memoryOf, type Home, type Sandbox } from '../sandboxes/sandbox.ts';
import { expiresAtMs, type SandboxTable } from '../sandboxes/table.ts';
import type { LifecycleHandler } from './handler.ts';

/** Of a paused one (its timeout came first, or a repeat that lost its first answer): answered as it rests. */
export const pauseSandbox: LifecycleHandler<'sandbox.pause'> = async (context, job) => {
  const { sandbox, home } = getSteady(context.sandboxes, job.sandboxId);
  if (sandbox.state === 'running') await rest(context, sandbox, home, job.memory);
  if (sandbox.state !== 'paused') throw endedMeanwhile();
  return { state: 'paused', expiresAtMs: expiresAtMs(sandbox), ...memoryOf(sandbox) };
};

/** Of a running one (a repeat that lost its first answer): its deadline is not shortened. */
export const resumeSandbox: LifecycleHandler<'sandbox.resume'> = async (context, job, signal) => {
  const { sandboxes } = context;
  const { sandbox, home } = getSteady(sandboxes, job.sandboxId);
  if (sandbox.state === 'running') {
    const change = { ttlMs: job.ttlMs, onlyExtend: true };
    sandboxes.setDeadline(sandbox, changeDeadline(sandbox.deadline, change, monotonicMs()));
    return { state: 'running', expiresAtMs: expiresAtMs(sandbox) };
  }
  const memoryKept = await wake(context, sandbox, home, job.memory, signal);
  if (sandbox.state !== 'paused') throw endedMeanwhile();
  sandbox.state = 'running';
  sandbox.rest = undefined;
  sandbox.silentSinceMs = undefined;
  sandboxes.setDeadline(sandbox, resumeDeadline(sandbox.deadline, job.ttlMs, monotonicMs()));
  return { state: 'running', expiresAtMs: expiresAtMs(sandbox), memoryKept };
};

/** Running or paused. Its state may change during any await: by its deadline, its death, a kill. */
export function getSteady(sandboxes: SandboxTable, sandboxId: string): { sandbox: Sandbox; home: Home } {
  const sandbox = sandboxes.find(sandboxId);
  if (!sandbox || sandbox.state === 'ended') {
    throw new RunnerError('sandbox_not_found', 'The sandbox is not on this node.');
  }
  if (!sandbox.home || (sandbox.state !== 'running' && sandbox.state !== 'paused')) throw endedMeanwhile();
  return { sandbox, home: sandbox.home };
}
