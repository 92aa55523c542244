import { monotonicMs } from '../clock.ts';
import type { ContainerEngine } from '../engine/port.ts';
import { whenAgentReady } from '../engine/ready.ts';
import { variablesOf, type Journal } from '../journal.ts';
import type { Logger } from '../log.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { Capacity } from './capacity.ts';
import type { Checkpointing } from './checkpointing.ts';
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
  checkpointing: Checkpointing;
  log: Logger;
}

/**
 * From running to paused, with its memory or with its files only. Its state may change during any await: by its deadline, its death, a
 * kill. Rejects with engine_failed, and then it runs on; with sandbox_not_running where it has begun to end.
 */
export async function rest(parts: RestParts, sandbox: Sandbox, home: Home, memory: boolean): Promise<void> {
  if (!memory) return await stop(parts, sandbox, home);
  if (await mayCheckpoint(parts, home)) {
    if (sandbox.state !== 'running') throw endedMeanwhile();
    if (await checkpoint(parts, sandbox, home)) return;
  }
  if (!parts.checkpointing.freezes) {
    throw new RunnerError(
      'not_supported',
      'This node cannot keep processes over a pause; pause it without its memory.',
    );
  }
  await freeze(parts, sandbox, home);
}

/** What is restored runs at once, so its rules and its isolation have to be in force before. */
const mayCheckpoint = async ({ checkpointing, engine }: RestParts, { containerId }: Home): Promise<boolean> =>
  checkpointing.frees && (await engine.confinesFromStart(containerId).catch(() => false));

async function freeze({ sandboxes, engine }: RestParts, sandbox: Sandbox, home: Home): Promise<void> {
  await engine.pause(home.containerId).catch(engineFailed);
  if (sandbox.state !== 'running') throw endedMeanwhile();
  sandbox.state = 'paused';
  sandbox.rest = 'frozen';
  sandboxes.setDeadline(sandbox, pauseDeadline(sandbox.deadline, monotonicMs()));
}

/** False where that can't be done now, and it runs as before. */
async function checkpoint(parts: RestParts, sandbox: Sandbox, home: Home): Promise<boolean> {
  const { session, containerId } = home;
  const cause = await leave(parts, sandbox, home, 'checkpointed', async () => {
    // A connection to the host can't be written down. The agent dials until it is listened to again.
    await session.hangUp();
    await parts.engine.checkpoint(containerId);
  });
  if (cause === undefined) return true;
  parts.log.warn('checkpoint_failed', { sandboxId: sandbox.id, epoch: sandbox.epoch, error: asError(cause) });
  await session.listen();
  return false;
}

async function stop(parts: RestParts, sandbox: Sandbox, home: Home): Promise<void> {
  const cause = await leave(parts, sandbox, home, 'stopped', async () => {
    await home.session.terminateAll(STOP_GRACE_MS).catch(() => undefined); // what is left is ended with the container
    await parts.engine.stop(home.containerId);
  });
  if (cause !== undefined) engineFailed(cause);
  endProcesses(sandbox);
}

/**
 * Into a container at rest. On record before the first process ends, so that a next life knows what it finds. Answers why it was not done:
 * then it runs as before.
 */
async function leave(
  { sandboxes, engine }: RestParts,
  sandbox: Sandbox,
  home: Home,
  how: 'checkpointed' | 'stopped',
  work: () => Promise<void>,
): Promise<unknown> {
  const { deadline } = sandbox;
  sandbox.state = 'pausing';
  sandbox.rest = how;
  sandboxes.setDeadline(sandbox, pauseDeadline(deadline, monotonicMs()));
  const failure: unknown = await work().then(
    () => undefined,
    (error: unknown) => error ?? new Error('it failed'),
  );
  if (sandbox.state !== 'pausing') throw endedMeanwhile();
  if (failure !== undefined && (await engine.findExit(home.containerId).catch(() => undefined)) === undefined) {
    sandbox.state = 'running';
    sandbox.rest = undefined;
    sandboxes.setDeadline(sandbox, deadline);
    return failure;
  }
  sandbox.state = 'paused';
  sandboxes.save(sandbox);
  return undefined;
}

/**
 * From paused to a container that runs, with its agent there; its state is the caller's to set. Answers whether processes go on where they
 * were: what can't be restored, and what shall not be (`memory` false), begins anew with its files. Where it rejects it stays at rest, what
 * was frozen and shall not go on perhaps with its files only.
 */
export async function wake(
  parts: RestParts,
  sandbox: Sandbox,
  home: Home,
  memory: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  switch (sandbox.rest) {
    case 'checkpointed':
      parts.capacity.checkMemory();
      if (memory && (await restore(parts, sandbox, home, signal))) return true;
      await restart(parts, sandbox, home, signal);
      endProcesses(sandbox);
      return false;
    case 'stopped':
      parts.capacity.checkMemory();
      await restart(parts, sandbox, home, signal);
      return false;
    case 'frozen':
    case undefined:
      if (!memory) {
        await drop(parts, sandbox, home);
        await restart(parts, sandbox, home, signal);
        return false;
      }
      await parts.engine.unpause(home.containerId).catch(engineFailed);
      return true;
    default:
      return sandbox.rest satisfies never;
  }
}

/** Ends a frozen one's processes where they stand. On record first, so that a next life, and who watches the engine, know what they find. */
async function drop({ sandboxes, engine }: RestParts, sandbox: Sandbox, { containerId }: Home): Promise<void> {
  sandbox.rest = 'stopped';
  sandboxes.save(sandbox);
  const failure: unknown = await engine.stop(containerId).then(
    () => undefined,
    (error: unknown) => error ?? new Error('it failed'),
  );
  if (sandbox.state !== 'paused') throw endedMeanwhile();
  if (failure !== undefined && (await engine.findExit(containerId).catch(() => undefined)) === undefined) {
    sandbox.rest = 'frozen';
    sandboxes.save(sandbox);
    engineFailed(failure);
  }
  endProcesses(sandbox);
}

async function restore(
  { engine, log }: RestParts,
  sandbox: Sandbox,
  { session, containerId }: Home,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await session.listen();
    await engine.restore(containerId);
    await whenAgentReady(session, { engine, id: containerId }, signal);
    sandbox.oomKills = 0;
    return true;
  } catch (error) {
    log.warn('restore_failed', { sandboxId: sandbox.id, epoch: sandbox.epoch, error: asError(error) });
    // Also where nobody waits for it any more: it must not run as one that rests.
    const stopping = await engine.stop(containerId).then(() => undefined, asError);
    signal.throwIfAborted();
    if (stopping) engineFailed(stopping);
    return false;
  }
}

async function restart(
  { engine, containers, journal }: RestParts,
  sandbox: Sandbox,
  home: Home,
  signal: AbortSignal,
): Promise<void> {
  // Nobody was, since what ran in it was written to disk.
  await home.session.listen();
  await containers.restart(home, signal);
  try {
    await home.session.configure({ env: variablesOf(journal.environment(sandbox.id)), cwd: DEFAULT_CWD });
  } catch (error) {
    await engine.stop(home.containerId).catch(engineFailed);
    throw error;
  }
  sandbox.oomKills = 0;
}

/** Of a sandbox whose container, and with it the agent, was stopped. */
function endProcesses({ processes, endedUntold }: Sandbox): void {
  for (const running of [...processes.values(), ...endedUntold]) running.stopped();
}

function engineFailed(cause: unknown): never {
  throw new RunnerError('engine_failed', 'The container engine refused.', { cause });
}

const asError = (cause: unknown): Error => (cause instanceof Error ? cause : new Error(String(cause)));

export const endedMeanwhile = () => new RunnerError('sandbox_not_running', 'The sandbox is ending.');
