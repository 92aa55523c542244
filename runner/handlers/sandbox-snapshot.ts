import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { EndReason } from '../protocol/node-report.ts';
import type { Sandbox } from '../sandboxes/sandbox.ts';
import { expiresAtMs } from '../sandboxes/table.ts';
import type { SnapshotSubject } from '../snapshots/snapshots.ts';
import type { HandlerContext, LifecycleHandler } from './handler.ts';
import { promisedProcesses } from './process-adopt.ts';
import { getSteady } from './sandbox-pause.ts';

/** A large one that has ended is read no further, and keeps nobody else waiting. */
const lookMs = 250;

/**
 * Its files and, where the node can write it down, what runs in it, sealed, into this node's store; it stands still meanwhile. A repeat takes
 * them anew. One that ends under it has none: sandbox_ended then says why it did, whatever broke first.
 */
export const snapshotSandbox: LifecycleHandler<'sandbox.snapshot'> = async (context, job, signal) => {
  const { sandboxes, snapshots, checkpointing, journal } = context;
  const { sandbox, home } = getSteady(sandboxes, job.sandboxId);
  if (sandbox.state === 'running' && !checkpointing.freezes) {
    throw new RunnerError(
      'not_supported',
      'This node cannot make a running sandbox stand still; pause it, then take it.',
    );
  }
  const subject = {
    containerId: home.containerId,
    tenantId: sandbox.tenantId,
    environment: job.passEnvironment ? journal.environment(sandbox.id).own : {},
    memory: job.memory ? memoryFor(context, sandbox) : 'none',
    session: home.session,
    processes: () => promisedProcesses(journal, sandbox.id),
  };
  const named = { id: job.snapshotId, key: Buffer.from(job.key, 'base64') };
  const ended = new AbortController();
  const looking = setInterval(() => {
    if (!isSteady(sandbox)) ended.abort(endedUnder(sandbox));
  }, lookMs);
  const snapshot = await snapshots
    .take(subject, named, AbortSignal.any([signal, ended.signal]))
    .catch((error: unknown) => {
      if (!isSteady(sandbox)) throw endedUnder(sandbox, error);
      throw isLate(error) ? tookTooLong(error) : error;
    })
    .finally(() => clearInterval(looking));
  if (!isSteady(sandbox)) {
    await snapshots.drop(job.snapshotId);
    throw endedUnder(sandbox);
  }
  sandboxes.save(sandbox);
  return { state: sandbox.state, expiresAtMs: expiresAtMs(sandbox), snapshot };
};

function memoryFor({ checkpointing }: HandlerContext, { rest }: Sandbox): SnapshotSubject['memory'] {
  if (rest === 'stopped') return 'none';
  if (rest === 'checkpointed') return 'written';
  return checkpointing.frees ? 'live' : 'none';
}

const isSteady = (sandbox: Sandbox): sandbox is Sandbox & { state: 'running' | 'paused' } =>
  sandbox.state === 'running' || sandbox.state === 'paused';

const causes: Record<EndReason, string> = {
  killed: 'it was killed',
  timeout: 'its time was up',
  failed: 'it failed',
  oom: 'it ran out of memory',
  runner_lost: 'its node was lost',
  evicted: 'its node ended it, as it does to one that passes its disk limit',
};

const endedUnder = ({ endReason }: Sandbox, cause?: unknown): RunnerError =>
  new RunnerError(
    'sandbox_ended',
    `The sandbox ended while its snapshot was taken: ${causes[endReason ?? 'failed']}.`,
    {
      cause,
    },
  );

const isLate = (error: unknown): boolean => error instanceof RunnerError && error.code === 'deadline_exceeded';

const tookTooLong = (cause: unknown): RunnerError =>
  new RunnerError(
    'deadline_exceeded',
    `The sandbox could not be read within ${limits.snapshotJobMs / 1000} seconds. It goes on as before; make it smaller, or try again when the node is less busy.`,
    { cause },
  );
