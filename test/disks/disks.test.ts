import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTenant, type TestTenant } from '../installation.ts';
import { readOperations, requestFor } from '../api/operations.ts';
import { createOwnDisk } from './own-disk.ts';

interface Disk {
  id: string;
  name: string;
  user: string | null;
  metadata: Record<string, unknown>;
  createdAt: string;
  updatedAt: string;
}
interface Page {
  disks: Disk[];
  nextCursor: string | null;
}

let tenant: TestTenant;
let other: TestTenant;

beforeAll(async () => {
  [tenant, other] = await Promise.all([createTenant(), createTenant()]);
});
afterAll(() => Promise.all([tenant.cleanUp(), other.cleanUp()]));

const create = (body: Record<string, unknown> = {}, of = tenant): Promise<Disk> =>
  of.json<Disk>('/v1/disks', { method: 'POST', json: body, status: 201 });
const codeOf = async (response: Response) => {
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, code: error.code };
};

test('a disk has the name, user and metadata it was made with, until they are changed', async () => {
  const made = await create({ name: 'reports', user: 'alice@example.com', metadata: { deep: { list: [1, null] } } });
  expect(made).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{12}4[0-9a-f]{19}$/) as string,
    name: 'reports',
    user: 'alice@example.com',
    metadata: { deep: { list: [1, null] } },
    createdAt: made.updatedAt,
    updatedAt: expect.stringMatching(/^20\d\d-.*Z$/) as string,
  });
  expect(await tenant.json(`/v1/disks/${made.id}`)).toEqual(made);
  const patch = (json: unknown) => tenant.json<Disk>(`/v1/disks/${made.id}`, { method: 'PATCH', json });
  expect(await patch({ name: 'other' })).toMatchObject({
    ...made,
    name: 'other',
    updatedAt: expect.any(String) as string,
  });
  expect(await patch({ metadata: {} })).toMatchObject({ name: 'other', metadata: {}, user: 'alice@example.com' });
  expect(await create()).toMatchObject({ name: '', user: null, metadata: {} });
});

test('metadata of 16 KiB is kept, more is refused, and so is what no disk has', async () => {
  const metadata = { text: 'é'.repeat((16 * 1024 - '{"text":""}'.length) / 2) };
  expect((await create({ metadata })).metadata).toEqual(metadata);
  for (const body of [
    { metadata: { text: `${metadata.text}é` } },
    { metadata: [] },
    { user: '' },
    { name: 'n'.repeat(257) },
    { size: 1 },
  ]) {
    const response = await tenant.api('/v1/disks', { method: 'POST', json: body });
    expect(await codeOf(response)).toEqual({ status: 400, code: 'invalid_argument' });
  }
});

test('pages show every disk once, newest or oldest first, all or a user’s', async () => {
  const own = await createTenant();
  const ids: string[] = [];
  for (let count = 0; count < 7; count += 1) {
    ids.push((await create(count % 2 === 0 ? { user: 'even' } : {}, own)).id);
  }
  const walk = async (query: string): Promise<string[]> => {
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: Page = await own.json<Page>(`/v1/disks?${query}${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.disks.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    return seen;
  };
  // Of those made in one millisecond the ids decide.
  expect((await walk('order=asc&limit=3')).toSorted()).toEqual(ids.toSorted());
  expect(await walk('limit=2')).toEqual((await walk('order=asc&limit=200')).toReversed());
  expect(await walk('user=even&limit=1')).toHaveLength(4);
  expect(await walk('user=nobody')).toEqual([]);
  for (const query of ['limit=0', 'limit=201', 'cursor=nonsense', 'user=', 'sort=name']) {
    expect(await codeOf(await own.api(`/v1/disks?${query}`))).toEqual({ status: 400, code: 'invalid_argument' });
  }
});

test('a deleted disk is gone with all that lay on it, and its storage with it', async () => {
  const own = await createTenant();
  const disk = await createOwnDisk(own);
  await disk.put('/a', 'content');
  await disk.put('/b/c', 'more');
  const stored = async () => (await own.json<{ usage: { storageBytes: number } }>('/v1/me')).usage.storageBytes;
  expect(await stored()).toBe(11);
  const remove = () => own.api(`/v1/disks/${disk.id}`, { method: 'DELETE' });
  expect((await remove()).status).toBe(204);
  expect(await stored()).toBe(0);
  expect(await codeOf(await remove())).toEqual({ status: 404, code: 'not_found' });
  expect(await codeOf(await disk.api('/content?path=/a'))).toEqual({ status: 404, code: 'not_found' });
});

test.each(['alice', 'a/b@c', 'a%2Fb', 'é 😀?#&', '?'])('the user %s is addressed as one segment', async (user) => {
  const { id } = await create({ user });
  const path = `/v1/users/${encodeURIComponent(user)}`;
  expect(await tenant.json(path)).toMatchObject({ user, disksCount: 1, skillsCount: 0 });
  expect((await tenant.json<Page>(`/v1/disks?user=${encodeURIComponent(user)}`)).disks.map((disk) => disk.id)).toEqual([
    id,
  ]);
  expect((await tenant.api(path, { method: 'DELETE' })).status).toBe(204);
  expect((await tenant.api(`/v1/disks/${id}`)).status).toBe(404);
  for (const method of ['GET', 'DELETE']) {
    expect(await codeOf(await tenant.api(path, { method }))).toEqual({ status: 404, code: 'not_found' });
  }
});

test('users are listed by the page, and are their tenant’s own', async () => {
  const own = await createTenant();
  for (const user of ['a', 'b', 'c', 'a']) await create({ user }, own);
  await create({ user: 'a' }, other);
  interface Users {
    users: { user: string }[];
    nextCursor: string | null;
  }
  const first = await own.json<Users>('/v1/users?order=asc&limit=2');
  const second = await own.json<Users>(`/v1/users?order=asc&limit=2&cursor=${first.nextCursor}`);
  expect([...first.users, ...second.users].map(({ user }) => user).toSorted()).toEqual(['a', 'b', 'c']);
  expect(second.nextCursor).toBeNull();
  expect((await own.api('/v1/users/a', { method: 'DELETE' })).status).toBe(204);
  expect(await other.json('/v1/users/a')).toMatchObject({ disksCount: 1 });
});

test('another tenant’s disk is answered byte for byte as a missing one, and as what is no id, on every route', async () => {
  const { id: foreignId } = await create({}, other);
  const foreignDisk = await createOwnDisk(other);
  await foreignDisk.put('/dir/file', 'theirs');
  const masked = async (operation: Awaited<ReturnType<typeof readOperations>>[number], diskId: string) => {
    const { path, init } = requestFor(operation, { diskId });
    const response = await tenant.api(path, init);
    const requestId = response.headers.get('x-request-id') ?? '';
    const text = `${operation.id} ${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
    return text
      .replaceAll(requestId, '<request>')
      .replaceAll(diskId, '<disk>')
      .replace(/"date","[^"]*"/, '"date"');
  };
  const operations = (await readOperations()).filter(({ template }) => template.includes('{diskId}'));
  expect(operations.length).toBeGreaterThan(10);
  for (const operation of operations) {
    const foreign = await masked(operation, foreignDisk.id);
    expect(foreign).toMatch(/^\w+ 404 /);
    expect(foreign).toBe(
      await masked(operation, `${foreignId.slice(0, -4)}${foreignId.endsWith('0000') ? '1111' : '0000'}`),
    );
    expect(foreign).toBe(await masked(operation, 'x'.repeat(32)));
  }
  expect(await (await foreignDisk.api('/content?path=/dir/file')).text()).toBe('theirs');
});
