import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseArtifactPath } from '../../../worker/core/artifacts/artifact-path.ts';
import { changeArtifact } from '../../../worker/core/artifacts/change-artifact.ts';
import { copyArtifacts } from '../../../worker/core/artifacts/copy-artifacts.ts';
import { moveArtifacts } from '../../../worker/core/artifacts/move-artifacts.ts';
import { removeArtifact, removeDirectory } from '../../../worker/core/artifacts/remove-artifacts.ts';
import { changeDisk } from '../../../worker/core/disks/change-disk.ts';
import { createDisk } from '../../../worker/core/disks/create-disk.ts';
import { deleteDisk } from '../../../worker/core/disks/delete-disk.ts';
import { ServiceError } from '../../../worker/core/errors.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { sweepStorage } from '../../../worker/core/storage/sweep-storage.ts';
import { abortUpload } from '../../../worker/core/uploads/abort-upload.ts';
import { completeUpload } from '../../../worker/core/uploads/complete-upload.ts';
import { createUpload } from '../../../worker/core/uploads/create-upload.ts';
import { writePart } from '../../../worker/core/uploads/write-part.ts';
import { deleteUser } from '../../../worker/core/users/delete-user.ts';
import { diskWorld, put } from '../support/disk-world.ts';
import { wrongSums } from '../support/storage-sums.ts';

const directory = fc.constantFrom('/', '/a/', '/a/b/', '/c/');
const file = fc.tuple(directory, fc.constantFrom('x', 'y')).map(([path, name]) => path + name);
const text = fc.constantFrom('', '1', '22', '333', '4444');
const disk = fc.constantFrom(0, 1, 2);
const metadata = fc.constantFrom(undefined, {}, { by: 'Jürgen' });
const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), disk, path: file, text, metadata }),
  fc.record({ kind: fc.constant('change' as const), disk, path: file, metadata }),
  fc.record({ kind: fc.constant('remove' as const), disk, path: file }),
  fc.record({ kind: fc.constant('removeDirectory' as const), disk, path: directory }),
  fc.record({
    kind: fc.constantFrom('move' as const, 'copy' as const),
    disk,
    places: fc.oneof(fc.tuple(file, file), fc.tuple(directory, directory)),
    overwrite: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('deleteDisk' as const), disk }),
  fc.record({ kind: fc.constant('changeDisk' as const), disk, name: text, metadata }),
  fc.record({
    kind: fc.constantFrom('makeUsersDisk' as const, 'deleteUser' as const),
    disk,
    user: fc.constantFrom('', 'you'),
  }),
  fc.record({
    kind: fc.constant('upload' as const),
    disk,
    path: file,
    text,
    metadata,
    end: fc.constantFrom('complete' as const, 'abort' as const, 'none' as const),
  }),
  fc.record({ kind: fc.constant('sweep' as const), disk }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const upload = async (ctx: Context, diskId: string, one: Extract<Step, { kind: 'upload' }>) => {
  const place = { ...parseArtifactPath(one.path), metadata: one.metadata, contentType: undefined };
  const { id } = await createUpload(ctx, diskId, { ...place, partBytes: 8, way: 'relayed' });
  const content = new TextEncoder().encode(one.text);
  await writePart(ctx, diskId, id, { part: 1, content, contentBytes: content.byteLength });
  if (one.end === 'complete') return completeUpload(ctx, diskId, id, { parts: 1 });
  return one.end === 'abort' ? abortUpload(ctx, diskId, id) : undefined;
};

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
        return put(ctx, diskId, one.path, one.text, { metadata: one.metadata });
      case 'change':
        return changeArtifact(ctx, diskId, parseArtifactPath(one.path), { metadata: one.metadata });
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
        return;
      }
      case 'changeDisk':
        return changeDisk(ctx, diskId, { name: one.name, metadata: one.metadata });
      case 'makeUsersDisk': {
        const { id } = await createDisk(ctx, { name: 'of', metadata: {}, user: one.user });
        return put(ctx, id, '/of/theirs', one.user);
      }
      case 'deleteUser':
        return deleteUser(ctx, one.user);
      case 'upload':
        return upload(ctx, diskId, one);
      case 'sweep':
        // All that was let go is a day old then.
        return sweepStorage(ctx, Date.now() + 2 * 86_400_000, null);
    }
  };
  return { ...world, apply };
};

test('whatever is done, refs count the artifacts, a blob is condemned with its last one, and the sums are what there is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }), async (steps) => {
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
      expect(rows('select tenant_id from tenant_storage where bytes > 9')).toEqual([]);
      expect(rows(wrongSums)).toEqual([]);
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
