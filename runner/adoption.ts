import type { AgentSession } from './agent/session.ts';
import { monotonicMs } from './clock.ts';
import type { Container, ContainerEngine } from './engine/port.ts';
import { adoptProcesses } from './handlers/process-adopt.ts';
import type { Journal, JournalRow } from './journal.ts';
import type { Logger } from './log.ts';
import { reconcile } from './reconcile.ts';
import { socketDirOf, type Containers } from './sandboxes/containers.ts';
import { resumeDeadline, type Deadline } from './sandboxes/deadline.ts';
import { isAtRest, nothingUnderWay, type Home, type Sandbox } from './sandboxes/sandbox.ts';
import { ACTIVITY_LAG_MS, type SandboxTable } from './sandboxes/table.ts';

interface AdoptionParts {
  engine: ContainerEngine;
  journal: Journal;
  sandboxes: SandboxTable;
  containers: Containers;
  openSession: (socketDir: string) => Promise<AgentSession>;
  dataDir: string;
  kernelBoot: string;
  log: Logger;
}

/** Takes over from this runner's last life, before the first job. Agents dial in by themselves, within 100 ms. */
export async function adopt(parts: AdoptionParts): Promise<void> {
  const { engine, journal, sandboxes, containers, log } = parts;
  const found = reconcile(journal.sandboxes(), await engine.list());
  for (const row of found.unfinished) journal.forget(row.sandboxId);
  for (const row of found.tombstones) sandboxes.put(restore(parts, row, undefined));
  for (const row of found.ended) sandboxes.markEnded(enter(sandboxes, restore(parts, row, undefined)), 'failed');
  for (const { row, container } of found.adopt) await adoptOne(parts, row, container.state);
  // One that the engine keeps refusing to remove must not keep the healthy ones from their runner.
  await Promise.all(found.remove.map((container) => containers.removeSoon(container.id)));
  log.info('adopted', {
    sandboxes: found.adopt.length,
    ended: found.ended.length,
    unfinished: found.unfinished.length,
    removedContainers: found.remove.length,
  });
}

async function adoptOne(parts: AdoptionParts, row: JournalRow, found: Container['state']): Promise<void> {
  const { containerId, slot } = row;
  if (containerId === null || slot === null) throw new Error('reconcile() adopts rows with a container only');
  const session = await parts.openSession(socketDirOf(parts.dataDir, slot));
  const home = { containerId, slot, session };
  const sandbox = Object.assign(restore(parts, row, home), { home });
  if (sandbox.rest === 'stopped') await adoptStopped(parts, sandbox, found);
  // One whose checkpoint was cut short, or which was being restored, runs.
  else if (found !== 'exited') await adoptRunning(parts, sandbox, found === 'paused');
  parts.sandboxes.put(sandbox);
  parts.sandboxes.arm(sandbox);
  if (sandbox.rest !== 'stopped') adoptProcesses(parts, sandbox);
}

async function adoptRunning(parts: AdoptionParts, sandbox: Sandbox & { home: Home }, frozen: boolean): Promise<void> {
  const { containerId } = sandbox.home;
  // A snapshot or a pause that the crash has cut short; all that was in memory.
  await parts.engine.discardMemory(containerId).catch((error: unknown) => {
    parts.log.warn('memory_not_discarded', {
      sandboxId: sandbox.id,
      error: error instanceof Error ? error : new Error(String(error)),
    });
  });
  // The crash may have come between the engine's freeze (or thaw) and its row: the engine knows.
  if (frozen !== sandbox.deadline.paused) {
    if (frozen) await parts.engine.unpause(containerId);
    // The time that it was to rest is no time to run.
    else sandbox.deadline = resumeDeadline(sandbox.deadline, sandbox.deadline.ttlMs, monotonicMs());
    sandbox.state = 'running';
  }
  if (sandbox.state === 'running') sandbox.rest = undefined;
  else sandbox.rest = 'frozen';
  sandbox.oomKills = await parts.engine.oomKills(containerId).catch(() => 0); // its death is about to be reported
}

/** The crash may have come before all of it had ended, or while it was being started again: it rests until somebody resumes it. */
async function adoptStopped(
  parts: AdoptionParts,
  sandbox: Sandbox & { home: Home },
  found: Container['state'],
): Promise<void> {
  if (found !== 'exited') await parts.engine.stop(sandbox.home.containerId);
  for (const { processId } of parts.journal.processes(sandbox.id)) parts.journal.forgetProcess(sandbox.id, processId);
}

function enter(sandboxes: SandboxTable, sandbox: Sandbox): Sandbox {
  sandboxes.put(sandbox);
  return sandbox;
}

function restore(parts: AdoptionParts, row: JournalRow, home: Home | undefined): Sandbox {
  return {
    id: row.sandboxId,
    tenantId: row.tenantId,
    epoch: row.epoch,
    revision: row.revision,
    state: row.state,
    rest: row.rest ?? undefined,
    cpus: row.cpus,
    memoryMiB: row.memoryMiB,
    egress: row.egress,
    home,
    deadline: restoreDeadline(row, parts.kernelBoot, monotonicMs()),
    onTimeout: row.onTimeout,
    keepMemory: row.keepMemory,
    endReason: row.endReason ?? undefined,
    endedAtMs: row.endedAtMs ?? undefined,
    recorded: row.recorded,
    ...nothingUnderWay(),
  };
}

/**
 * The monotonic clock runs on between two lives on one machine boot, so the journaled moment still holds; an idle-mode one may be
 * ACTIVITY_LAG_MS behind what was promised. After a reboot no process can be alive; for files that were kept in a stopped container, the
 * wall clock has to do, as long as it says no more than was promised.
 */
export function restoreDeadline(row: JournalRow, kernelBoot: string, nowMs: number): Deadline {
  const { deadlineMode: mode, ttlMs, pausedTtlMs } = row;
  const lagMs = mode === 'idle' && row.state === 'running' ? ACTIVITY_LAG_MS : 0;
  const leftMs = Math.min(Math.max(0, (row.expiresAtWallMs ?? 0) - Date.now()), pausedTtlMs);
  const afterReboot = isAtRest(row.rest) ? nowMs + leftMs : nowMs;
  const kept = row.kernelBoot === kernelBoot ? (row.expiresAtMonotonicMs ?? nowMs) + lagMs : afterReboot;
  return { mode, ttlMs, pausedTtlMs, paused: row.state === 'paused', expiresAtMs: kept };
}
