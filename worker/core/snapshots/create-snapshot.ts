import type { Sandbox } from '../../../db/cell.ts';
import type { Snapshot } from '../../../db/directory.ts';
import { lasting } from '../lasting.ts';
import type { Context } from '../ports.ts';
import { getSandbox } from '../sandboxes/get-sandbox.ts';
import { giveUpSnapshot } from './remove-snapshot.ts';
import { finishSnapshot, requireSnapshotStore, storeSnapshot } from './store-snapshot.ts';
import { takeSnapshot } from './take-snapshot.ts';

export interface CreateSnapshot {
  /** Of two snapshots with the same name and tag the newer one stays. */
  name: string | null;
  tag: string;
  /** With its processes, where its node can write them down. */
  memory: boolean;
}

/**
 * Answers once its object is whole, so that any node with the image boots it. Throws not_found, sandbox_ended, conflict (another change
 * goes on for too long), quota_exceeded, snapshot_too_large, not_implemented, or what else the runner answered; nothing is left behind then.
 */
export const createSnapshot = async (ctx: Context, sandboxId: string, input: CreateSnapshot): Promise<Snapshot> => {
  await requireSnapshotStore(ctx);
  return lasting(ctx, create(ctx, await getSandbox(ctx, sandboxId), input));
};

const create = async (ctx: Context, source: Sandbox, input: CreateSnapshot): Promise<Snapshot> => {
  const { snapshot, sizeBytes } = await takeSnapshot(ctx, source, { ...input, purpose: 'kept' });
  try {
    await storeSnapshot(ctx, snapshot, sizeBytes, source);
    return await finishSnapshot(ctx, snapshot);
  } catch (error) {
    ctx.after(giveUpSnapshot(ctx, snapshot, source));
    throw error;
  }
};
