import { expect, test } from 'vitest';
import { openDirectory } from '../../../db/client.ts';
import { createDisk } from '../../../worker/core/disks/create-disk.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { completeUpload } from '../../../worker/core/uploads/complete-upload.ts';
import { createUpload, type CreateUpload } from '../../../worker/core/uploads/create-upload.ts';
import { getUpload } from '../../../worker/core/uploads/get-upload.ts';
import { writePart } from '../../../worker/core/uploads/write-part.ts';
import { getStoredBytes } from '../../../worker/core/tenants/get-stored-bytes.ts';
import { memoryStore } from '../support/memory-store.ts';
import { scriptedCell } from '../support/scripted-cell.ts';
import { SqliteD1 } from '../support/sqlite-d1.ts';

const partBytes = 8;
const input: CreateUpload = {
  path: '/',
  name: 'a.txt',
  partBytes,
  way: 'relayed',
  contentType: undefined,
  metadata: undefined,
};

const begin = async (limitBytes = 1024) => {
  const database = new SqliteD1('directory');
  const memory = memoryStore();
  const { context } = scriptedCell();
  const directory = openDirectory(database as unknown as Parameters<typeof openDirectory>[0]);
  const tenant = { ...context.actor.tenant, maxStorageBytes: limitBytes };
  let nowMs = Date.now();
  const ctx: Context = {
    ...context,
    directory,
    objects: memory.store,
    now: () => nowMs,
    actor: { ...context.actor, tenant },
  };
  database.database
    .prepare(
      'insert into tenants (id, name, created_at_ms, max_sandboxes, max_cpus, max_memory_mib, max_ttl_seconds, requests_per_second) values (?, ?, 0, 1, 1, 1, 1, 1)',
    )
    .run(tenant.id, tenant.name);
  const disk = await createDisk(ctx, { name: '', metadata: {}, user: undefined });
  const upload = await createUpload(ctx, disk.id, input);
  const put = (part: number, text: string) => {
    const content = new TextEncoder().encode(text);
    return writePart(ctx, disk.id, upload.id, { part, content, contentBytes: content.byteLength });
  };
  const complete = (parts: number) => completeUpload(ctx, disk.id, upload.id, { parts });
  const pass = (ms: number) => void (nowMs += ms);
  const stored = () => getStoredBytes(ctx);
  return { ctx, database, memory, disk, upload, put, complete, pass, stored };
};

test('when the answer of R2’s complete, or of the commit, was lost, completing again makes the artifact', async () => {
  const { ctx, database, memory, put, complete, stored } = await begin();
  await put(1, '12345678');
  await put(2, 'end');
  ctx.objects = {
    ...memory.store,
    completeMultipart: async (...args) => {
      if (!memory.parts.has(args[0])) throw new Error('there is no such multipart upload');
      return memory.store.completeMultipart(...args);
    },
  };
  database.loseNextAnswer(false);
  await expect(complete(2)).rejects.toThrow(/./);
  expect(memory.objects.size).toBe(1);
  database.loseNextAnswer(true);
  await expect(complete(2)).rejects.toThrow(/./);
  const artifact = await complete(2);
  expect(artifact).toMatchObject({ name: 'a.txt', sizeBytes: 11 });
  expect(await complete(2)).toEqual(artifact);
  expect(await stored()).toBe(11);
  expect(memory.objects.size).toBe(1);
});

test('of two writes of a part at once at most one counts, and never one that R2 may not have', async () => {
  const { ctx, memory, put, complete, upload, disk } = await begin();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let calls = 0;
  ctx.objects = {
    ...memory.store,
    // The first to begin is the last to end.
    putPart: async (...args) => {
      if ((calls += 1) === 1) await held;
      return memory.store.putPart(...args);
    },
  };
  const slow = put(1, 'slow');
  await expect.poll(() => calls).toBe(1);
  await put(1, 'quick');
  expect((await getUpload(ctx, disk.id, upload.id)).parts).toHaveLength(1);
  release();
  await expect(slow).rejects.toMatchObject({ code: 'conflict', message: expect.stringMatching(/twice at once/) });
  await expect(complete(1)).rejects.toMatchObject({ code: 'conflict', message: expect.stringMatching(/is missing/) });
  await put(1, 'third');
  expect(await complete(1)).toMatchObject({ sizeBytes: 5 });
});

test('a part that fails gives back what it had taken', async () => {
  const { ctx, put, stored, memory } = await begin();
  ctx.objects = { ...memory.store, putPart: () => Promise.reject(new Error('cut')) };
  await expect(put(1, 'text')).rejects.toThrow('cut');
  await expect.poll(stored).toBe(0);
});

test('parts at once cannot pass the tenant’s limit together', async () => {
  const { put, stored } = await begin(20);
  const results = await Promise.allSettled([1, 2, 3, 4].map((part) => put(part, '12345678')));
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  expect(await stored()).toBe(16);
});

test('completing at the limit works, and over an artifact that it replaces too', async () => {
  const { ctx, put, complete, stored, disk } = await begin(16);
  await put(1, '12345678');
  await put(2, '12345678');
  await complete(2);
  expect(await stored()).toBe(16);
  const again = await createUpload(ctx, disk.id, input);
  const content = new TextEncoder().encode('x');
  const part = { part: 1, content, contentBytes: 1 };
  await expect(writePart(ctx, disk.id, again.id, part)).rejects.toMatchObject({ code: 'quota_exceeded' });
});

test('an upload is gone a day after it began, whether it was completed or not', async () => {
  const { ctx, put, complete, pass, disk, upload } = await begin();
  await put(1, 'text');
  pass(24 * 3600_000 - 1);
  await put(1, 'text');
  pass(1);
  await expect(put(1, 'text')).rejects.toMatchObject({ code: 'not_found' });
  await expect(complete(1)).rejects.toMatchObject({ code: 'not_found' });
  await expect(getUpload(ctx, disk.id, upload.id)).rejects.toMatchObject({ code: 'not_found' });
});

test('without S3 credentials there are no direct uploads, and the answer says so', async () => {
  const { ctx, disk } = await begin();
  await expect(createUpload(ctx, disk.id, { ...input, way: 'direct' })).rejects.toMatchObject({
    code: 'not_implemented',
    message: expect.stringMatching(/S3 credentials/),
  });
});
