import { Sandbox } from 'e2b';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../wait-for.ts';
import { createE2b, type E2b } from './client.ts';

let e2b: E2b;
beforeEach(async () => {
  e2b = await createE2b();
});
afterEach(() => e2b.cleanUp());

test('a sandbox has its first metrics within seconds, in its range only, and keeps them while it is paused', async () => {
  const start = new Date();
  const sandbox = await e2b.create();
  expect(await sandbox.getMetrics({ end: start })).toEqual([]);
  await sandbox.commands.run(
    'timeout 1 sh -c "while :; do :; done"; dd if=/dev/zero of=/tmp/file bs=1M count=20; cat /tmp/file > /dev/null',
  );
  await waitFor('the first sample', async () => (await sandbox.getMetrics({ start })).length > 0, 10_000, 200);
  const busy = await waitFor(
    'the sample that saw the command',
    async () => (await sandbox.getMetrics({ start, end: new Date() })).find(({ memCache }) => memCache > 0),
    15_000,
    200,
  );
  expect(busy).toMatchObject({ cpuCount: 2, memTotal: 512 * 1024 * 1024 });
  expect(busy.cpuUsedPct).toBeGreaterThan(0);
  expect(busy.cpuUsedPct).toBeLessThanOrEqual(200);
  expect(busy.memUsed).toBeGreaterThan(0);
  expect(busy.diskTotal).toBeGreaterThan(0);
  expect(busy.timestamp.getTime()).toBeGreaterThanOrEqual(start.getTime());
  await sandbox.pause();
  expect((await sandbox.getMetrics()).length).toBeGreaterThan(0);
});

test('the native history tells the same, bounded by its limit; a range the wrong way round is refused', async () => {
  const { id } = await e2b.tenant.createSandbox({ cpu: 1 });
  const path = `/v1/sandboxes/${id}/metrics/history`;
  type History = { samples: { at: string; cpu: { limit: number } }[] };
  const read = (query: string) => e2b.tenant.json<History>(`${path}?${query}`);
  await waitFor('the first sample', async () => (await read('')).samples.length > 0, 15_000, 200);
  expect((await read('limit=1')).samples).toMatchObject([{ cpu: { limit: 1 } }]);
  expect((await read('end=2020-01-01T00:00:00Z')).samples).toEqual([]);
  const wrong = await e2b.tenant.api(`${path}?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z`);
  expect(wrong.status).toBe(400);
  expect((await e2b.tenant.api(`${path}?limit=721`)).status).toBe(400);
  await e2b.tenant.api(`/v1/sandboxes/${id}`, { method: 'DELETE' });
  expect((await e2b.tenant.api(path)).status).toBe(410);
});

test('metrics of one that is missing, or another tenant’s, are SandboxNotFound to both', async () => {
  const sandbox = await e2b.create();
  const other = await createE2b();
  for (const id of [sandbox.sandboxId, '00a1b2c3d4e54f60a7b8c9d0e1f2a3b4']) {
    await expect(Sandbox.getMetrics(id, other.options)).rejects.toMatchObject({ name: 'SandboxNotFoundError' });
  }
  await other.cleanUp();
});
