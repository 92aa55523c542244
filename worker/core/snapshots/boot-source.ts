import type { Snapshot } from '../../../db/directory.ts';
import type { SnapshotSource } from '../../../runner/protocol/snapshots.ts';
import type { Context } from '../ports.ts';
import { getSnapshot } from './find-snapshot.ts';
import { snapshotLimits } from './snapshot-limits.ts';
import { snapshotObjectKey } from './snapshot-object.ts';

/** What a sandbox is made of instead of its template's image alone. */
export interface BootSource {
  snapshotId: string;
  /** The template's name, and the image that the snapshot's files lie on. */
  name: string;
  image: string;
  /** Where it was taken: that node needs not fetch it. */
  runnerId: string;
  /** Whether processes are to go on in it where they were. */
  memoryKept: boolean;
  /** For a create on that runner. */
  specOn(runnerId: string): Promise<SnapshotSource>;
}

export const bootSourceOf = (ctx: Context, snapshot: Snapshot, sizeBytes = snapshot.sizeBytes): BootSource => {
  const { id, template: name, image, runnerId, purpose, memoryKept } = snapshot;
  const specOn = async (): Promise<SnapshotSource> => {
    const key = snapshotObjectKey(snapshot);
    const [secret, url] = await Promise.all([
      ctx.snapshotKeys.keyOf(id),
      ctx.snapshotObjects.presign({ method: 'GET', key, expiresSeconds: snapshotLimits.downloadUrlSeconds }),
    ]);
    return { id, key: secret, sizeBytes, url: url ?? null, inheritEnvironment: purpose === 'fork' };
  };
  return { snapshotId: id, name, image, runnerId, memoryKept, specOn };
};

/** Throws not_found. */
export const findBootSource = async (ctx: Context, snapshotId: string | undefined): Promise<BootSource | undefined> =>
  snapshotId === undefined ? undefined : bootSourceOf(ctx, await getSnapshot(ctx, { id: snapshotId }));
