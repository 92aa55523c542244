import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAcontext, failure, failureOf, type Acontext } from './client.ts';
import { formOf } from './form.ts';

interface Disk {
  id: string;
  project_id: string;
  user_id: string | null;
  created_at: string;
}
interface Page<T> {
  items: T[];
  next_cursor?: string;
  has_more: boolean;
}

let acontext: Acontext;
let other: Acontext;
beforeAll(async () => {
  [acontext, other] = await Promise.all([createAcontext(), createAcontext()]);
});
afterAll(() => Promise.all([acontext.cleanUp(), other.cleanUp()]));

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const make = (user?: string) => acontext.data<Disk>(201, 'POST', '/disk', user === undefined ? undefined : { user });

test('a disk is made without a body, and with a user, who is made with it', async () => {
  const disk = await make();
  expect(disk).toMatchObject({ id: expect.stringMatching(uuid) as string, user_id: null });
  const [one, two] = [await make('alice'), await make('alice')];
  expect(one.user_id).toMatch(uuid);
  expect(two.user_id).toBe(one.user_id);
  expect((await make('')).user_id).toBeNull();
});

test('a user may come in a form of either kind as well; a body of another kind is 400', async () => {
  const { user_id: user } = await make('form user');
  const { body, type } = formOf([{ name: 'user', value: 'form user' }]);
  const urlencoded = { body: 'user=form+user', type: 'application/x-www-form-urlencoded' };
  for (const form of [{ body, type }, urlencoded]) {
    const answer = await acontext.send('POST', '/disk', form);
    expect([answer.status, answer.body.data]).toEqual([201, expect.objectContaining({ user_id: user })]);
  }
  const large = { ...urlencoded, body: `user=${'x'.repeat(1024 * 1024)}` };
  expect(failureOf(await acontext.send('POST', '/disk', large))).toEqual(failure(413, /form/));
  const long = { ...urlencoded, body: `user=${'x'.repeat(1025)}` };
  expect(failureOf(await acontext.send('POST', '/disk', long))).toEqual(failure(400, /parameter error/));
  const text = { body: 'user=x', type: 'text/plain' };
  expect(failureOf(await acontext.send('POST', '/disk', text))).toEqual(failure(400, /Content-Type/));
});

test('lists go both ways, page by page, and by user', async () => {
  const mine = [];
  for (let index = 0; index < 5; index += 1) mine.push((await make('lister')).id);
  const page = (query: string) => acontext.data<Page<Disk>>(200, 'GET', `/disk?user=lister&${query}`);
  const all = async (query: string) => {
    const ids: string[] = [];
    let cursor = '';
    do {
      const { items, next_cursor, has_more } = await page(`limit=2&${query}${cursor}`);
      expect(has_more).toBe(next_cursor !== undefined);
      ids.push(...items.map(({ id }) => id));
      cursor = next_cursor === undefined ? '' : `&cursor=${encodeURIComponent(next_cursor)}`;
    } while (cursor !== '');
    return ids;
  };
  expect(await all('')).toEqual(mine);
  expect(await all('time_desc=true')).toEqual(mine.toReversed());
  expect(await all('time_desc=false')).toEqual(mine);
  const nobody = await acontext.data<Page<Disk>>(200, 'GET', '/disk?user=nobody');
  expect(nobody).toEqual({ items: [], has_more: false });
});

test.each(['limit=0', 'limit=201', 'limit=x', 'cursor=nonsense'])('a list with %s is 400', async (query) => {
  expect(failureOf(await acontext.send('GET', `/disk?${query}`))).toEqual(failure(400, /./));
});

test('a deleted disk is gone with its artifacts; again, or somebody else’s, is 404, and names the id as it was sent', async () => {
  const { id } = await make();
  expect(failureOf(await other.send('DELETE', `/disk/${id}`))).toEqual(failure(404, /./));
  expect(await acontext.send('DELETE', `/disk/${id}`)).toMatchObject({ status: 200, text: '{"code":0,"msg":""}' });
  const named = failure(404, new RegExp(`with the id ${id}\\.$`));
  expect(failureOf(await acontext.send('DELETE', `/disk/${id}`))).toEqual(named);
  expect(failureOf(await acontext.send('GET', `/disk/${id}/artifact/ls`))).toEqual(named);
});

describe('users', () => {
  const name = 'a/b@c d+ü';
  const path = encodeURIComponent(name);

  test('with any identifier, one segment of the path, tell what is theirs', async () => {
    await make(name);
    const { counts } = await acontext.data<{ counts: object }>(200, 'GET', `/user/${path}/resources`);
    expect(counts).toEqual({ sessions_count: 0, disks_count: 1, skills_count: 0 });
    expect(failureOf(await acontext.send('GET', '/user/nobody/resources'))).toEqual(failure(404, /./));
    expect(failureOf(await other.send('GET', `/user/${path}/resources`))).toEqual(failure(404, /./));
  });

  test('are listed all at once, or in pages', async () => {
    const everybody = await acontext.data<Page<{ id: string; identifier: string }>>(200, 'GET', '/user/ls');
    expect(everybody.items.map(({ identifier }) => identifier)).toContain(name);
    expect(everybody.has_more).toBe(false);
    expect(await acontext.data(200, 'GET', '/user/ls?limit=0')).toEqual(everybody);
    const first = await acontext.data<Page<unknown>>(200, 'GET', '/user/ls?limit=1&time_desc=true');
    expect(first).toMatchObject({ items: [{ id: expect.stringMatching(uuid) as string }], has_more: true });
    expect(failureOf(await acontext.send('GET', '/user/ls?limit=201'))).toEqual(failure(400, /./));
  });

  test('are listed 1,000 at once where no limit is asked for, and the cursor leads on', async () => {
    const crowd = await createAcontext();
    try {
      const names = Array.from({ length: 1001 }, (_, index) => `user-${index}`);
      for (let from = 0; from < names.length; from += 50) {
        await Promise.all(names.slice(from, from + 50).map((user) => crowd.data(201, 'POST', '/disk', { user })));
      }
      const page = await crowd.data<Page<{ identifier: string }>>(200, 'GET', '/user/ls');
      expect([page.items.length, page.has_more]).toEqual([1000, true]);
      const rest = await crowd.data<Page<{ identifier: string }>>(
        200,
        'GET',
        `/user/ls?cursor=${encodeURIComponent(page.next_cursor ?? '')}`,
      );
      expect([rest.items.length, rest.has_more]).toEqual([1, false]);
      expect(new Set([...page.items, ...rest.items].map(({ identifier }) => identifier))).toEqual(new Set(names));
    } finally {
      await crowd.cleanUp();
    }
  });

  test('go with their disks; whom there is not is deleted already', async () => {
    const { id } = await make(name);
    expect(await acontext.send('DELETE', `/user/${path}`)).toMatchObject({ status: 200, text: '{"code":0,"msg":""}' });
    expect(failureOf(await acontext.send('GET', `/disk/${id}/artifact/ls`))).toEqual(failure(404, /./));
    expect((await acontext.send('DELETE', `/user/${path}`)).status).toBe(200);
  });
});
