import { expect, test } from 'vitest';
import { openDirectory } from '../../../db/client.ts';
import { createMaterial, openMaterial } from '../../../worker/core/artifacts/material.ts';
import { Signer } from '../../../worker/core/keys/signer.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { SqliteD1 } from '../support/sqlite-d1.ts';

const artifactId = 'a'.repeat(24);

/** A deployment that holds one artifact, with a clock of the test's. */
const deployment = () => {
  const d1 = new SqliteD1('directory');
  d1.database.exec(`
    insert into tenants (id, name, created_at_ms, max_sandboxes, max_cpus, max_memory_mib, max_ttl_seconds, requests_per_second)
      values ('own', 'own', 0, 1, 1, 1, 1, 1);
    insert into disks (id, tenant_id, purpose, name, metadata, created_at_ms, updated_at_ms) values ('disk', 'own', 'disk', '', '{}', 0, 0);
    insert into blobs (id, tenant_id, size_bytes, refs, created_at_ms) values ('blob', 'own', 1, 0, 0);
    insert into artifacts (id, disk_id, path, name, blob_id, size_bytes, content_type, metadata, etag, created_at_ms, updated_at_ms)
      values ('${artifactId}', 'disk', '/', 'name', 'blob', 1, 'text/plain', '{}', 'etag', 0, 0)`);
  const clock = { nowMs: 1_800_000_000_400 };
  const world = {
    directory: openDirectory(d1 as unknown as Parameters<typeof openDirectory>[0]),
    signer: new Signer('a pepper of this test'),
    now: () => clock.nowMs,
  };
  return { ctx: world as unknown as Context, clock, database: d1.database };
};

const notFound = { code: 'not_found', message: 'material not found' };

test('a URL is good for as long as was asked, rounded up to a second, and not a millisecond longer', async () => {
  const { ctx, clock } = deployment();
  const { token, expiresAtMs } = await createMaterial(ctx, { id: artifactId }, 10);
  expect(expiresAtMs).toBe(1_800_000_011_000);
  clock.nowMs = expiresAtMs - 1;
  expect(await openMaterial(ctx, token)).toMatchObject({ tenantId: 'own', expiresAtMs, artifact: { name: 'name' } });
  clock.nowMs = expiresAtMs;
  await expect(openMaterial(ctx, token)).rejects.toMatchObject(notFound);
});

test('less than a second is one, more than 7 days are 7, and no time is refused', async () => {
  const { ctx, clock } = deployment();
  clock.nowMs = 1_800_000_000_000;
  const secondsOf = async (asked: number) =>
    ((await createMaterial(ctx, { id: artifactId }, asked)).expiresAtMs - clock.nowMs) / 1000;
  expect(await secondsOf(0.001)).toBe(1);
  for (const asked of [604_800, 604_801, 1e12, Infinity]) expect(await secondsOf(asked)).toBe(604_800);
  for (const asked of [0, -1, Number.NaN, -Infinity]) {
    await expect(createMaterial(ctx, { id: artifactId }, asked)).rejects.toMatchObject({ code: 'invalid_argument' });
  }
});

test('a token of a deleted artifact, of a suspended tenant and of nobody get one answer', async () => {
  const { ctx, database } = deployment();
  const { token } = await createMaterial(ctx, { id: artifactId }, 10);
  const { token: strange } = await createMaterial(ctx, { id: 'b'.repeat(24) }, 10);
  await expect(openMaterial(ctx, strange)).rejects.toMatchObject(notFound);
  database.exec('update tenants set suspended_at_ms = 1');
  await expect(openMaterial(ctx, token)).rejects.toMatchObject(notFound);
  database.exec('update tenants set suspended_at_ms = null');
  expect((await openMaterial(ctx, token)).artifact.id).toBe(artifactId);
  database.exec('delete from artifacts');
  await expect(openMaterial(ctx, token)).rejects.toMatchObject(notFound);
});
