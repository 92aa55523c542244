import { expect, test } from 'vitest';
import { listOrphans } from '../../../worker/core/storage/list-orphans.ts';
import { diskWorld } from '../support/disk-world.ts';

test('objects without a row are told to the administrator by key, page by page, each once', async () => {
  const { ctx, database } = await diskWorld();
  expect(await listOrphans(ctx, { cursor: undefined, limit: 2 })).toEqual({ orphans: [], nextCursor: null });
  const insert = database.database.prepare(
    'insert into orphans (key, size_bytes, uploaded_at_ms, found_at_ms) values (?, 4, 1, 2)',
  );
  const keys = ['blobs/a', 'blobs/ä', 'blobs/b', 'odd', 'odd/%_'];
  for (const key of keys.toReversed()) insert.run(key);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await listOrphans(ctx, { cursor, limit: 2 });
    expect(page.orphans.length).toBeLessThanOrEqual(2);
    seen.push(...page.orphans.map(({ key }) => key));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined && seen.length < 20);
  expect(seen.toSorted()).toEqual(keys.toSorted());
  await expect(listOrphans(ctx, { cursor: 'nonsense', limit: 2 })).rejects.toMatchObject({ code: 'invalid_argument' });
});
