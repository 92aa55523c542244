import { expect, test } from 'vitest';
import { createSnapshot } from '../../../worker/core/snapshots/create-snapshot.ts';
import { deleteSnapshot } from '../../../worker/core/snapshots/delete-snapshot.ts';
import { StorageSweep } from '../../../worker/durable/fleet/storage-sweep.ts';
import { snapshotWorld } from '../snapshots/world.ts';

test('a snapshot that cannot be removed does not keep the list of objects from going on', async () => {
  const world = await snapshotWorld();
  const { id } = await createSnapshot(world.ctx, (await world.newSandbox()).id, {
    name: null,
    tag: 'default',
    memory: true,
  });
  await deleteSnapshot(world.ctx, { id });
  world.pass(16 * 60_000);
  const kept = new Map<string, unknown>();
  const storage = {
    get: async <T>(key: string) => kept.get(key) as T | undefined,
    put: async (key: string, value: unknown) => void kept.set(key, value),
    delete: async (key: string) => kept.delete(key),
  };
  const { directory, objects, snapshotObjects } = world.ctx;
  const page = { objects: [{ key: 'blobs/a', sizeBytes: 1, uploadedAtMs: world.ctx.now() }], cursor: 'on' };
  const sweep = new StorageSweep({
    directory,
    objects: { ...objects, list: async () => page },
    snapshotObjects: { ...snapshotObjects, delete: () => Promise.reject(new Error('the store is away')) },
    storage,
  });
  await sweep.run(world.ctx.now());
  expect([...kept.values()]).toEqual([{ cursor: 'on', afterKey: 'blobs/a' }]);
  expect(world.rows('select state from snapshots')).toEqual([{ state: 'deleted' }]);
});
