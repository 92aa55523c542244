import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTenant, type TestTenant } from '../installation.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';

let tenant: TestTenant;
let other: TestTenant;
let disk: OwnDisk;

beforeAll(async () => {
  [tenant, other] = await Promise.all([createTenant(), createTenant()]);
  disk = await createOwnDisk(tenant);
});
afterAll(async () => {
  await tenant.api(`/v1/disks/${disk.id}`, { method: 'DELETE' });
  await Promise.all([tenant.cleanUp(), other.cleanUp()]);
});

const copy = (source: string, destination: string) =>
  disk.api('/copy', { method: 'POST', json: { source, destination } });

test('a tenant whose copies of large metadata fill its records is refused, can delete, and leaves others alone', async () => {
  await disk.put('/d/a', 'x');
  await disk.json('?path=/d/a', { method: 'PATCH', json: { metadata: { text: 'x'.repeat(16_000) } } });
  // 4,096 artifacts of 16.5 KB: 68 MB. Seven such directories fit into 512 MiB.
  for (let count = 0; count < 12; count += 1) {
    expect((await copy('/d/', `/half/${count}/`)).status).toBe(200);
    await disk.json('/move', { method: 'POST', json: { source: `/half/${count}/`, destination: `/d/${count}/` } });
  }
  const statuses = [];
  for (let count = 0; count < 7; count += 1) statuses.push((await copy('/d/', `/copy-${count}/`)).status);
  expect(statuses).toEqual([200, 200, 200, 200, 200, 200, 429]);
  const refused = await copy('/d/', '/more/');
  expect(await refused.json()).toMatchObject({
    error: { code: 'quota_exceeded', message: expect.stringContaining('512 MiB') },
  });
  const theirs = await createOwnDisk(other);
  await theirs.put('/a', 'text');
  expect((await disk.api('?path=/copy-0/&recursive=true', { method: 'DELETE' })).status).toBeLessThan(300);
  expect((await copy('/d/', '/more/')).status).toBe(200);
});
