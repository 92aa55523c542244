import { expect, test } from 'vitest';
import { openDirectory } from '../../../db/client.ts';
import { createDisk } from '../../../worker/core/disks/create-disk.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { getStoredBytes } from '../../../worker/core/tenants/get-stored-bytes.ts';
import { abortUpload } from '../../../worker/core/uploads/abort-upload.ts';
import { completeUpload } from '../../../worker/core/uploads/complete-upload.ts';
import { createUpload } from '../../../worker/core/uploads/create-upload.ts';
import { createUploadUrls } from '../../../worker/core/uploads/create-upload-urls.ts';
import { endUpload } from '../../../worker/core/uploads/end-upload.ts';
import { memoryStore } from '../support/memory-store.ts';
import { scriptedCell } from '../support/scripted-cell.ts';
import { SqliteD1 } from '../support/sqlite-d1.ts';

const partBytes = 8;

const begin = async (limitBytes: number) => {
  const database = new SqliteD1('directory');
  const memory = memoryStore();
  const { context } = scriptedCell();
  const tenant = { ...context.actor.tenant, maxStorageBytes: limitBytes };
  const ctx: Context = {
    ...context,
    directory: openDirectory(database as unknown as Parameters<typeof openDirectory>[0]),
    objects: { ...memory.store, presign: async ({ key, part }) => `https://store.test/${key}?part=${part?.part}` },
    actor: { ...context.actor, tenant },
  };
  database.database
    .prepare(
      'insert into tenants (id, name, created_at_ms, max_sandboxes, max_cpus, max_memory_mib, max_ttl_seconds, requests_per_second) values (?, ?, 0, 1, 1, 1, 1, 1)',
    )
    .run(tenant.id, tenant.name);
  const disk = await createDisk(ctx, { name: '', metadata: {}, user: undefined });
  const upload = await createUpload(ctx, disk.id, {
    path: '/',
    name: 'a.txt',
    partBytes,
    way: 'direct',
    contentType: undefined,
    metadata: undefined,
  });
  const urls = (...parts: { part: number; sizeBytes: number }[]) =>
    createUploadUrls(ctx, disk.id, upload.id, { parts, expiresSeconds: 60 });
  /** What a client does with the URL of a part. */
  const send = (part: number, text: string) =>
    memory.store.putPart(
      [...memory.parts.keys()][0] ?? '',
      upload.multipartId,
      part,
      new TextEncoder().encode(text),
      text.length,
    );
  return { ctx, memory, disk, upload, urls, send, stored: () => getStoredBytes(ctx) };
};

const part = (number: number, sizeBytes = partBytes) => ({ part: number, sizeBytes });

test('URLs asked for at once cannot pass the tenant’s limit together, and those of one call are all or none', async () => {
  const { urls, stored } = await begin(20);
  await expect(urls(part(1), part(2), part(3))).rejects.toMatchObject({ code: 'quota_exceeded' });
  expect(await stored()).toBe(0);
  const results = await Promise.allSettled([1, 2, 3, 4].map((number) => urls(part(number))));
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  expect(await stored()).toBe(16);
});

test('asking again counts a part once, with the most that one of its URLs takes, at the limit as well', async () => {
  const { urls, stored } = await begin(10);
  await urls(part(1, 4));
  await urls(part(1, 8), part(2, 2));
  expect(await stored()).toBe(10);
  await urls(part(1, 1), part(2, 2));
  expect(await stored()).toBe(10);
  await expect(urls(part(2, 3))).rejects.toMatchObject({ code: 'quota_exceeded' });
});

test('a complete at the limit counts what the parts have in place of what was claimed', async () => {
  const { ctx, disk, upload, urls, send, stored } = await begin(16);
  await urls(part(1), part(2));
  const { etag } = await send(1, '12345678');
  const complete = (...parts: number[]) =>
    completeUpload(ctx, disk.id, upload.id, { parts: parts.map((number) => ({ part: number, etag })) });
  await expect(complete(1, 3)).rejects.toMatchObject({ code: 'conflict', message: expect.stringMatching(/Part 3/) });
  expect(await complete(1)).toMatchObject({ sizeBytes: 8 });
  expect(await stored()).toBe(8);
  await expect(urls(part(2))).rejects.toMatchObject({ code: 'conflict' });
  expect(await complete(1)).toMatchObject({ sizeBytes: 8 });
});

test.each([
  ['an abort', ({ ctx, disk, upload }: Awaited<ReturnType<typeof begin>>) => abortUpload(ctx, disk.id, upload.id)],
  ['the sweep’s end', ({ ctx, upload }: Awaited<ReturnType<typeof begin>>) => endUpload(ctx, upload)],
])('%s lets go of what was claimed, and nothing is claimed after it', async (_name, end) => {
  const begun = await begin(16);
  await begun.urls(part(1), part(2));
  await end(begun);
  expect(await begun.stored()).toBe(0);
  await expect(begun.urls(part(1))).rejects.toMatchObject({ code: 'not_found' });
  expect(await begun.stored()).toBe(0);
});
