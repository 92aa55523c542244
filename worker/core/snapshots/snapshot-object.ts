import type { Snapshot } from '../../../db/directory.ts';

/** Where a snapshot's bytes lie in its bucket. */
export const snapshotObjectKey = ({ tenantId, id }: Pick<Snapshot, 'tenantId' | 'id'>): string =>
  `snapshots/${tenantId}/${id}`;
