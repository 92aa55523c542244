import { monotonicMs } from '../clock.ts';
import { beginDeadline } from '../sandboxes/deadline.ts';
import { nothingUnderWay, type Sandbox } from '../sandboxes/sandbox.ts';
import type { SandboxTable } from '../sandboxes/table.ts';
import type { LifecycleHandler, LifecycleWork } from './handler.ts';

type Kill = Pick<LifecycleWork<'sandbox.kill'>, 'sandboxId' | 'tenantId' | 'epoch' | 'revision'>;

/**
 * Done when the kill arrives, before it gets its turn: from now on what it overtook is stale, and a create that comes after it
 * finds its tombstone.
 */
export function announceKill(sandboxes: SandboxTable, kill: Kill): void {
  const known = sandboxes.find(kill.sandboxId);
  if (!known) return sandboxes.put(tombstone(kill));
  if (known.epoch !== kill.epoch || known.revision >= kill.revision) return;
  known.revision = kill.revision;
  sandboxes.save(known);
}

export const killSandbox: LifecycleHandler<'sandbox.kill'> = async ({ sandboxes }, job) => {
  const sandbox = sandboxes.find(job.sandboxId);
  if (sandbox) await sandboxes.end(sandbox, 'killed', job.graceMs);
  // What was here was an earlier placement: the later one, which never came to be, is ended as well.
  if (sandbox?.epoch !== job.epoch) sandboxes.put(tombstone(job));
  return { state: 'ended', expiresAtMs: null };
};

/** Of a sandbox that never came to be here. */
function tombstone(kill: Kill): Sandbox {
  const terms = { deadlineMode: 'fixed', ttlMs: 0, pausedTtlMs: 0 } as const;
  return {
    id: kill.sandboxId,
    tenantId: kill.tenantId,
    epoch: kill.epoch,
    revision: kill.revision,
    state: 'ended',
    rest: undefined,
    cpus: 0,
    memoryMiB: 0,
    egress: { allow: [], deny: [] },
    home: undefined,
    deadline: beginDeadline(terms, monotonicMs()),
    onTimeout: 'kill',
    keepMemory: false,
    endReason: 'killed',
    endedAtMs: Date.now(),
    recorded: false,
    ...nothingUnderWay(),
  };
}
