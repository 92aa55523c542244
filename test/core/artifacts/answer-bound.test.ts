import { expect, test } from 'vitest';
import { changeArtifact } from '../../../worker/core/artifacts/change-artifact.ts';
import { globArtifacts } from '../../../worker/core/artifacts/glob-artifacts.ts';
import { listDirectory } from '../../../worker/core/artifacts/list-directory.ts';
import { diskWorld, put } from '../support/disk-world.ts';

/** 9.6 MB of metadata in one directory. */
const crowded = async () => {
  const world = await diskWorld();
  const { ctx, diskId } = world;
  const names = Array.from({ length: 600 }, (_, index) => String(index).padStart(4, '0'));
  for (const name of names) {
    await put(ctx, diskId, `/much/${name}`, 'x');
    await changeArtifact(ctx, diskId, { path: '/much/', name }, { metadata: { text: 'x'.repeat(16_000) } });
  }
  return { ...world, names };
};

test('a page of artifacts with much metadata ends early, and the pages are the whole list', async () => {
  const { ctx, diskId, names } = await crowded();
  const seen: string[] = [];
  let pages = 0;
  for (let cursor: string | undefined; ;) {
    const page = await listDirectory(ctx, diskId, '/much/', { cursor, limit: 10_000 });
    expect(JSON.stringify(page).length).toBeLessThan(10 * 1024 * 1024);
    seen.push(...page.artifacts.map(({ name }) => name));
    pages += 1;
    if (page.nextCursor === null) break;
    cursor = page.nextCursor;
  }
  expect(seen).toEqual(names);
  expect(pages).toBe(2);
});

test('a search that finds more metadata than an answer holds is told so', async () => {
  const { ctx, diskId } = await crowded();
  const glob = (limit: number) => globArtifacts(ctx, diskId, '/much/*', { flavour: 'native', limit });
  await expect(glob(1000)).rejects.toMatchObject({ code: 'payload_too_large' });
  expect(await glob(250)).toHaveLength(250);
});
