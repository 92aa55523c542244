import { AcontextClient, APIError, FileUpload } from '@acontext/acontext';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installation } from '../../installation.ts';
import { acontextKeyOf, createAcontext, type Acontext } from './client.ts';

/** Acontext's own client from npm: what it can call is pinged, disks and their artifacts. */
let acontext: Acontext;
let client: AcontextClient;
beforeAll(async () => {
  acontext = await createAcontext();
  client = new AcontextClient({ apiKey: acontextKeyOf(acontext.tenant.key), baseUrl: `${installation().url}/api/v1` });
});
afterAll(() => acontext.cleanUp());

test('ping is pong', async () => {
  expect(await client.ping()).toBe('pong');
});

test('disks are made, listed and deleted', async () => {
  const made = [await client.disks.create(), await client.disks.create(), await client.disks.create()];
  const first = await client.disks.list({ limit: 2 });
  expect(first).toMatchObject({ has_more: true, items: [{ id: made[0]?.id }, { id: made[1]?.id }] });
  const rest = await client.disks.list({ limit: 2, cursor: first.next_cursor ?? null });
  expect(rest).toMatchObject({ has_more: false, items: [{ id: made[2]?.id }] });
  expect((await client.disks.list({ timeDesc: true })).items[0]?.id).toBe(made[2]?.id);
  for (const { id } of made) await client.disks.delete(id);
  expect((await client.disks.list()).items).toEqual([]);
});

test('an artifact goes its whole way', async () => {
  const { id } = await client.disks.create();
  const file = new FileUpload({ filename: 't é.md', content: Buffer.from('# Notes\n'), contentType: 'text/plain' });
  const place = { filePath: '/notes', filename: 't é.md' };
  const made = await client.disks.artifacts.upsert(id, { file, filePath: '/notes', meta: { a: [1, { b: 2 }] } });
  expect(made).toMatchObject({ disk_id: id, path: '/notes/', filename: 't é.md', meta: { a: [1, { b: 2 }] } });
  const got = await client.disks.artifacts.get(id, { ...place, withPublicUrl: true, withContent: true, expire: 60 });
  expect(got.content).toEqual({ type: 'text', raw: '# Notes\n' });
  expect(await (await fetch(got.public_url ?? '')).text()).toBe('# Notes\n');
  const bare = await client.disks.artifacts.get(id, { ...place, withPublicUrl: false, withContent: false });
  expect([bare.content ?? null, bare.public_url ?? null]).toEqual([null, null]);
  const { artifact } = await client.disks.artifacts.update(id, { ...place, meta: { changed: true } });
  expect(artifact.meta).toMatchObject({ changed: true, __artifact_info__: { size: 8 } });
  const listed = await client.disks.artifacts.list(id, { path: '/notes/' });
  expect(listed.artifacts.map(({ filename }) => filename)).toEqual(['t é.md']);
  expect((await client.disks.artifacts.list(id)).directories).toEqual(['notes']);
  await client.disks.artifacts.delete(id, place);
  expect(await client.disks.artifacts.list(id, { path: '/notes/' })).toEqual({ artifacts: [], directories: [] });
});

test('a refusal is an APIError with status, code and sentence', async () => {
  const refused = client.disks.artifacts.list('11111111-1111-4111-8111-111111111111');
  await expect(refused).rejects.toThrow(APIError);
  await expect(refused).rejects.toMatchObject({ statusCode: 404, code: 404 });
  const stranger = new AcontextClient({ apiKey: 'sk-ac-nobody', baseUrl: `${installation().url}/api/v1` });
  await expect(stranger.disks.list()).rejects.toMatchObject({ statusCode: 401, message: 'Unauthorized' });
});
