import { monotonicMs } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { changeDeadline, pauseDeadline, resumeDeadline } from '../sandboxes/deadline.ts';
import type { Home, Sandbox } from '../sandboxes/sandbox.ts';
import { expiresAtMs, type SandboxTable } from '../sandboxes/table.ts';
import type { LifecycleHandler } from './handler.ts';

/** Freezes it with its memory, which stays in use. */
export const pauseSandbox: LifecycleHandler<'sandbox.pause'> = async ({ sandboxes, engine }, job) => {
  const { sandbox, home } = getSteady(sandboxes, job.sandboxId);
  if (sandbox.state === 'running') {
    await engine.pause(home.containerId).catch(engineFailed);
    if (sandbox.state === 'running') {
      sandbox.state = 'paused';
      sandboxes.setDeadline(sandbox, pauseDeadline(sandbox.deadline, monotonicMs()));
    }
  }
  if (sandbox.state !== 'paused') throw endedMeanwhile();
  return { state: 'paused', expiresAtMs: expiresAtMs(sandbox), memoryKept: true, memoryFreed: false };
};

/** Of a running one (a repeat that lost its first answer): its deadline is not shortened. */
export const resumeSandbox: LifecycleHandler<'sandbox.resume'> = async ({ sandboxes, engine }, job) => {
  const { sandbox, home } = getSteady(sandboxes, job.sandboxId);
  if (sandbox.state === 'running') {
    const change = { ttlMs: job.ttlMs, onlyExtend: true };
    sandboxes.setDeadline(sandbox, changeDeadline(sandbox.deadline, change, monotonicMs()));
    return { state: 'running', expiresAtMs: expiresAtMs(sandbox) };
  }
  await engine.unpause(home.containerId).catch(engineFailed);
  if (sandbox.state !== 'paused') throw endedMeanwhile();
  sandbox.state = 'running';
  sandbox.silentSinceMs = undefined;
  sandboxes.setDeadline(sandbox, resumeDeadline(sandbox.deadline, job.ttlMs, monotonicMs()));
  return { state: 'running', expiresAtMs: expiresAtMs(sandbox) };
};

/** Running or paused. Its state may change during any await: by its deadline, its death, a kill. */
export function getSteady(sandboxes: SandboxTable, sandboxId: string): { sandbox: Sandbox; home: Home } {
  const sandbox = sandboxes.find(sandboxId);
  if (!sandbox || sandbox.state === 'ended') {
    throw new RunnerError('sandbox_not_found', 'The sandbox is not on this node.');
  }
  if (!sandbox.home || sandbox.state === 'ending' || sandbox.state === 'creating') throw endedMeanwhile();
  return { sandbox, home: sandbox.home };
}

function engineFailed(cause: unknown): never {
  throw new RunnerError('engine_failed', 'The container engine refused.', { cause });
}

const endedMeanwhile = () => new RunnerError('sandbox_not_running', 'The sandbox is ending.');
