import { expect, test } from 'vitest';
import { parseArtifactPath } from '../../../worker/core/artifacts/artifact-path.ts';
import { commitArtifacts } from '../../../worker/core/artifacts/commit-artifacts.ts';
import { getArtifact } from '../../../worker/core/artifacts/get-artifact.ts';
import { removeArtifact } from '../../../worker/core/artifacts/remove-artifacts.ts';
import { stageBytes } from '../../../worker/core/artifacts/stage-bytes.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { diskWorld, put } from '../support/disk-world.ts';

type World = Awaited<ReturnType<typeof diskWorld>>;

const blobsOf = ({ rows }: World) =>
  rows<{ size_bytes: number; refs: number; condemned: number }>(
    'select size_bytes, refs, condemned_at_ms is not null as condemned from blobs order by rowid',
  );
const storedBytes = ({ rows }: World) =>
  rows<{ bytes: number }>("select bytes from tenant_storage where tenant_id = 'ten_one'")[0]?.bytes ?? 0;
const read = async ({ ctx, diskId, objects }: World, path: string): Promise<string> => {
  const { blobId } = await getArtifact(ctx, diskId, parseArtifactPath(path));
  return Buffer.from(objects.get(`blobs/ten_one/${blobId}`) ?? []).toString();
};
const write = async (ctx: Context, path: string, text: string) => {
  const bytes = new TextEncoder().encode(text);
  return {
    ...parseArtifactPath(path),
    blob: await stageBytes(ctx, bytes, bytes.byteLength),
    contentType: 'text/plain',
  };
};

test('a new artifact has its content, type, metadata and times', async () => {
  const world = await diskWorld();
  const artifact = await put(world.ctx, world.diskId, '/docs/a.md', '# A', { metadata: { by: 'me' } });
  expect(artifact).toMatchObject({
    diskId: world.diskId,
    path: '/docs/',
    name: 'a.md',
    sizeBytes: 3,
    contentType: 'text/markdown; charset=utf-8',
    metadata: { by: 'me' },
  });
  expect(artifact.etag).toMatch(/^[0-9a-f]{32}$/);
  expect(await read(world, '/docs/a.md')).toBe('# A');
});

test('an overwrite keeps id, creation and metadata unless new metadata is given, and has a fresh etag', async () => {
  const world = await diskWorld();
  const first = await put(world.ctx, world.diskId, '/a', '1', { metadata: { n: 1 } });
  const second = await put({ ...world.ctx, now: () => first.createdAtMs + 5 }, world.diskId, '/a', '22');
  expect(second).toMatchObject({ id: first.id, createdAtMs: first.createdAtMs, metadata: { n: 1 }, sizeBytes: 2 });
  expect(second.updatedAtMs).toBe(first.createdAtMs + 5);
  expect(second.etag).not.toBe(first.etag);
  expect(await put(world.ctx, world.diskId, '/a', '333', { metadata: {} })).toMatchObject({ metadata: {} });
  expect(blobsOf(world)).toEqual([
    { size_bytes: 1, refs: 0, condemned: 1 },
    { size_bytes: 2, refs: 0, condemned: 1 },
    { size_bytes: 3, refs: 1, condemned: 0 },
  ]);
});

test('equal content is stored once, is let go with its last artifact, and is stored anew after that', async () => {
  const world = await diskWorld();
  await put(world.ctx, world.diskId, '/a', 'same');
  await put(world.ctx, world.diskId, '/b', 'same');
  await world.settled();
  expect(blobsOf(world)).toEqual([{ size_bytes: 4, refs: 2, condemned: 0 }]);
  expect([world.objects.size, storedBytes(world)]).toEqual([1, 4]);
  await removeArtifact(world.ctx, world.diskId, parseArtifactPath('/a'));
  expect([await read(world, '/b'), storedBytes(world)]).toEqual(['same', 4]);
  await removeArtifact(world.ctx, world.diskId, parseArtifactPath('/b'));
  expect([blobsOf(world), storedBytes(world)]).toEqual([[{ size_bytes: 4, refs: 0, condemned: 1 }], 0]);
  await put(world.ctx, world.diskId, '/c', 'same');
  expect(blobsOf(world)).toEqual([
    { size_bytes: 4, refs: 0, condemned: 1 },
    { size_bytes: 4, refs: 1, condemned: 0 },
  ]);
  expect(await read(world, '/c')).toBe('same');
});

test('two tenants share nothing, whatever they store', async () => {
  const world = await diskWorld();
  const other = world.contextOf('ten_two');
  const otherDisk = await world.newDisk(other);
  await put(world.ctx, world.diskId, '/a', 'same');
  await put(other, otherDisk, '/a', 'same');
  expect(blobsOf(world)).toEqual([
    { size_bytes: 4, refs: 1, condemned: 0 },
    { size_bytes: 4, refs: 1, condemned: 0 },
  ]);
  await expect(put(other, world.diskId, '/b', 'x')).rejects.toMatchObject({ code: 'not_found' });
  const staged = [await write(other, '/b', 'x')];
  await expect(commitArtifacts(other, world.diskId, staged)).rejects.toMatchObject({ code: 'not_found' });
  await world.settled();
  expect([world.objects.size, blobsOf(world).length]).toEqual([2, 2]);
});

test('many writes are one commit: equal content among them counts once, and all or none are there', async () => {
  const world = await diskWorld({ maxStorageBytes: 10 });
  const fit = await Promise.all([
    write(world.ctx, '/a', '12345'),
    write(world.ctx, '/b', '12345'),
    write(world.ctx, '/c', '6'),
  ]);
  expect(await commitArtifacts(world.ctx, world.diskId, fit)).toHaveLength(3);
  expect(storedBytes(world)).toBe(6);
  const over = await Promise.all([write(world.ctx, '/d', '123'), write(world.ctx, '/e', '45')]);
  await expect(commitArtifacts(world.ctx, world.diskId, over)).rejects.toMatchObject({ code: 'quota_exceeded' });
  await world.settled();
  expect([world.objects.size, storedBytes(world), blobsOf(world).length]).toEqual([2, 6, 2]);
});

test('artifacts may exchange their contents in one commit', async () => {
  const world = await diskWorld();
  await put(world.ctx, world.diskId, '/a', 'one');
  await put(world.ctx, world.diskId, '/b', 'other');
  const writes = await Promise.all([write(world.ctx, '/a', 'other'), write(world.ctx, '/b', 'one')]);
  await commitArtifacts(world.ctx, world.diskId, writes);
  await world.settled();
  expect([await read(world, '/a'), await read(world, '/b')]).toEqual(['other', 'one']);
  expect(storedBytes(world)).toBe(8);
});

test('the quota counts what an overwrite frees, and only that', async () => {
  const world = await diskWorld({ maxStorageBytes: 10 });
  await put(world.ctx, world.diskId, '/a', '1234567');
  await put(world.ctx, world.diskId, '/b', 'abc');
  await expect(put(world.ctx, world.diskId, '/c', 'x')).rejects.toMatchObject({ code: 'quota_exceeded' });
  await put(world.ctx, world.diskId, '/a', '7654321');
  await put(world.ctx, world.diskId, '/c', 'abc');
  await expect(put(world.ctx, world.diskId, '/b', 'cba')).rejects.toMatchObject({ code: 'quota_exceeded' });
  await removeArtifact(world.ctx, world.diskId, parseArtifactPath('/c'));
  await put(world.ctx, world.diskId, '/b', 'cba');
  expect(storedBytes(world)).toBe(10);
  const shrunk = {
    ...world.ctx,
    actor: { ...world.ctx.actor, tenant: { ...world.ctx.actor.tenant, maxStorageBytes: 5 } },
  };
  await put(shrunk, world.diskId, '/a', '12345');
  await expect(put(shrunk, world.diskId, '/d', '1')).rejects.toMatchObject({ code: 'quota_exceeded' });
});

test('a commit whose answer is lost fails; if it was applied its bytes are all there, if not nothing is', async () => {
  const world = await diskWorld();
  const applied = await write(world.ctx, '/a', 'applied');
  world.database.loseNextAnswer(true);
  await expect(commitArtifacts(world.ctx, world.diskId, [applied])).rejects.toThrow(/Failed query|connection lost/);
  await world.settled();
  expect(await read(world, '/a')).toBe('applied');
  const lost = await write(world.ctx, '/b', 'lost');
  world.database.loseNextAnswer(false);
  await expect(commitArtifacts(world.ctx, world.diskId, [lost])).rejects.toThrow(/Failed query|connection lost/);
  await expect(read(world, '/b')).rejects.toMatchObject({ code: 'not_found' });
  expect(blobsOf(world)).toHaveLength(1);
});

test('a precondition is decided in the statement that writes', async () => {
  const world = await diskWorld();
  const { etag } = await put(world.ctx, world.diskId, '/a', '1');
  const match = { precondition: { kind: 'match', etags: [etag] } } as const;
  const writes = [await write(world.ctx, '/a', '2'), await write(world.ctx, '/a', '3')];
  const [first, second] = writes.map((one) => commitArtifacts(world.ctx, world.diskId, [one], match));
  await expect(first).resolves.toHaveLength(1);
  await expect(second).rejects.toMatchObject({ code: 'precondition_failed' });
  const absent = { precondition: { kind: 'none_match', etags: '*' } } as const;
  await expect(put(world.ctx, world.diskId, '/a', '4', absent)).rejects.toMatchObject({ code: 'precondition_failed' });
  await put(world.ctx, world.diskId, '/new', '4', absent);
  await expect(
    put(world.ctx, world.diskId, '/none', '5', { precondition: { kind: 'match', etags: '*' } }),
  ).rejects.toMatchObject({
    code: 'precondition_failed',
  });
  await world.settled();
  expect(world.objects.size).toBe(3);
});

test('a condemned blob is never referred to again', async () => {
  const world = await diskWorld();
  const { blobId } = await put(world.ctx, world.diskId, '/a', 'text');
  await removeArtifact(world.ctx, world.diskId, parseArtifactPath('/a'));
  expect(() =>
    world.database.database.exec(
      `insert into artifacts values ('x', '${world.diskId}', '/', 'x', '${blobId}', 4, '', '{}', '', 0, 0)`,
    ),
  ).toThrow('blob_condemned');
  await put(world.ctx, world.diskId, '/b', 'other');
  expect(() => world.database.database.exec(`update artifacts set blob_id = '${blobId}'`)).toThrow('blob_condemned');
});
