import { monotonicMs } from '../clock.ts';
import type { ContainerEngine } from '../engine/port.ts';
import { variablesOf, type Journal } from '../journal.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { Capacity } from './capacity.ts';
import { DEFAULT_CWD, type Containers } from './containers.ts';
import { pauseDeadline } from './deadline.ts';
import type { Home, Sandbox } from './sandbox.ts';
import type { SandboxTable } from './table.ts';

/** How long processes have between SIGTERM and their end, where only files are kept. */
const STOP_GRACE_MS = 2_000;

export interface RestParts {
  sandboxes: SandboxTable;
  engine: ContainerEngine;
  containers: Containers;
  capacity: Capacity;
  journal: Journal;
}

/**
 * From running to paused, with its memory or with its files only. Its state may change during any await: by its deadline, its death, a
 * kill. Rejects with engine_failed, and then it runs on; with sandbox_not_running where it has begun to end.
 */
export async function rest(parts: RestParts, sandbox: Sandbox, home: Home, memory: boolean): Promise<void> {
  await (memory ? freeze(parts, sandbox, home) : stop(parts, sandbox, home));
}

async function freeze({ sandboxes, engine }: RestParts, sandbox: Sandbox, home: Home): Promise<void> {
  await engine.pause(home.containerId).catch(engineFailed);
  if (sandbox.state !== 'running') throw endedMeanwhile();
  sandbox.state = 'paused';
  sandbox.rest = 'frozen';
  sandboxes.setDeadline(sandbox, pauseDeadline(sandbox.deadline, monotonicMs()));
}

async function stop({ sandboxes, engine }: RestParts, sandbox: Sandbox, home: Home): Promise<void> {
  const { deadline } = sandbox;
  // On record before the first process ends: after a crash there is no way back to what ran.
  sandbox.state = 'pausing';
  sandbox.rest = 'stopped';
  sandboxes.setDeadline(sandbox, pauseDeadline(deadline, monotonicMs()));
  await home.session.terminateAll(STOP_GRACE_MS).catch(() => undefined); // what is left is ended with the container
  const failure: unknown = await engine.stop(home.containerId).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (sandbox.state !== 'pausing') throw endedMeanwhile();
  if (failure !== undefined && (await engine.findExit(home.containerId).catch(() => undefined)) === undefined) {
    sandbox.state = 'running';
    sandbox.rest = undefined;
    sandboxes.setDeadline(sandbox, deadline);
    engineFailed(failure);
  }
  for (const running of sandbox.processes.values()) running.stopped();
  sandbox.state = 'paused';
  sandboxes.save(sandbox);
}

/** From paused to a container that runs, with its agent there; its state is the caller's to set. On failure it rests as before. */
export async function wake(parts: RestParts, sandbox: Sandbox, home: Home, signal: AbortSignal): Promise<void> {
  const { engine, containers, capacity, journal } = parts;
  if (sandbox.rest !== 'stopped') return await engine.unpause(home.containerId).catch(engineFailed);
  capacity.checkMemory();
  await containers.restart(home, signal);
  try {
    await home.session.configure({ env: variablesOf(journal.environment(sandbox.id)), cwd: DEFAULT_CWD });
  } catch (error) {
    await engine.stop(home.containerId).catch(engineFailed);
    throw error;
  }
  sandbox.oomKills = 0;
}

function engineFailed(cause: unknown): never {
  throw new RunnerError('engine_failed', 'The container engine refused.', { cause });
}

export const endedMeanwhile = () => new RunnerError('sandbox_not_running', 'The sandbox is ending.');
