import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseArtifactPath } from '../../../worker/core/artifacts/artifact-path.ts';
import { copyArtifacts } from '../../../worker/core/artifacts/copy-artifacts.ts';
import { moveArtifacts } from '../../../worker/core/artifacts/move-artifacts.ts';
import { removeArtifact, removeDirectory } from '../../../worker/core/artifacts/remove-artifacts.ts';
import { deleteDisk } from '../../../worker/core/disks/delete-disk.ts';
import { ServiceError } from '../../../worker/core/errors.ts';
import { diskWorld, put } from '../support/disk-world.ts';

const directory = fc.constantFrom('/', '/a/', '/a/b/', '/c/');
const file = fc.tuple(directory, fc.constantFrom('x', 'y')).map(([path, name]) => path + name);
const text = fc.constantFrom('', '1', '22', '333', '4444');
const disk = fc.constantFrom(0, 1, 2);
const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), disk, path: file, text }),
  fc.record({ kind: fc.constant('remove' as const), disk, path: file }),
  fc.record({ kind: fc.constant('removeDirectory' as const), disk, path: directory }),
  fc.record({
    kind: fc.constantFrom('move' as const, 'copy' as const),
    disk,
    places: fc.oneof(fc.tuple(file, file), fc.tuple(directory, directory)),
    overwrite: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('deleteDisk' as const), disk }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const newWorld = async () => {
  const world = await diskWorld({ maxStorageBytes: 9 });
  const other = world.contextOf('ten_two');
  const owners = [world.ctx, world.ctx, other];
  const disks = [world.diskId, await world.newDisk(), await world.newDisk(other)];
  const apply = async (one: Step): Promise<unknown> => {
    const ctx = owners[one.disk] ?? world.ctx;
    const diskId = disks[one.disk] ?? '';
    switch (one.kind) {
      case 'put':
        return put(ctx, diskId, one.path, one.text);
      case 'remove':
        return removeArtifact(ctx, diskId, parseArtifactPath(one.path));
      case 'removeDirectory':
        return removeDirectory(ctx, diskId, one.path);
      case 'move':
      case 'copy': {
        const [source, destination] = one.places;
        const relocate = one.kind === 'move' ? moveArtifacts : copyArtifacts;
        return relocate(ctx, diskId, { source, destination, overwrite: one.overwrite });
      }
      case 'deleteDisk': {
        await deleteDisk(ctx, diskId);
        disks[one.disk] = await world.newDisk(ctx);
      }
    }
  };
  return { ...world, apply };
};

test('whatever is done, refs count the artifacts, a blob is condemned with its last one, and storage is what lives', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const { apply, rows, settled, objects } = await newWorld();
      for (const one of steps) {
        await apply(one).catch((error: unknown) => {
          if (!(error instanceof ServiceError) || error.status >= 500) throw error;
        });
      }
      await settled();
      expect(
        rows(`select id from blobs where refs <> (select count(*) from artifacts where blob_id = blobs.id)
          or (refs = 0) <> (condemned_at_ms is not null)`),
      ).toEqual([]);
      expect(
        rows(`select tenant_id from tenant_storage where bytes > 9 or bytes <> coalesce((select sum(size_bytes) from blobs
          where blobs.tenant_id = tenant_storage.tenant_id and condemned_at_ms is null), 0)`),
      ).toEqual([]);
      expect(
        rows(`select artifacts.id from artifacts left join blobs on blobs.id = blob_id
          join disks on disks.id = disk_id where blobs.tenant_id is not disks.tenant_id or blobs.size_bytes <> artifacts.size_bytes`),
      ).toEqual([]);
      const kept = rows<{ key: string }>("select 'blobs/' || tenant_id || '/' || id as key from blobs order by key");
      expect([...objects.keys()].toSorted()).toEqual(kept.map(({ key }) => key));
    }),
    { numRuns: 150 },
  );
});
