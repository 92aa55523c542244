import { endedMeanwhile } from '../sandboxes/resting.ts';
import { expiresAtMs } from '../sandboxes/table.ts';
import type { LifecycleHandler } from './handler.ts';
import { getSteady } from './sandbox-pause.ts';

/** Its files, sealed, into this node's store; what runs stands still meanwhile. A repeat takes them anew. */
export const snapshotSandbox: LifecycleHandler<'sandbox.snapshot'> = async (context, job, signal) => {
  const { sandboxes, snapshots, journal } = context;
  const { sandbox, home } = getSteady(sandboxes, job.sandboxId);
  const snapshot = await snapshots.take(
    home.containerId,
    {
      id: job.snapshotId,
      tenantId: sandbox.tenantId,
      key: Buffer.from(job.key, 'base64'),
      environment: job.passEnvironment ? journal.environment(sandbox.id).own : {},
    },
    signal,
  );
  if (sandbox.state !== 'running' && sandbox.state !== 'paused') {
    await snapshots.drop(job.snapshotId);
    throw endedMeanwhile();
  }
  sandboxes.save(sandbox);
  return { state: sandbox.state, expiresAtMs: expiresAtMs(sandbox), snapshot };
};
