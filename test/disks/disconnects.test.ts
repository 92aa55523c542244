import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTenant, installation, type TestTenant } from '../installation.ts';
import { createOwnDisk, type OwnDisk } from './own-disk.ts';

let tenant: TestTenant;
let other: TestTenant;
let disk: OwnDisk;
let otherDisk: OwnDisk;

beforeAll(async () => {
  [tenant, other] = await Promise.all([createTenant(), createTenant()]);
  [disk, otherDisk] = await Promise.all([createOwnDisk(tenant), createOwnDisk(other)]);
});
afterAll(async () => {
  await Promise.all([tenant.cleanUp(), other.cleanUp()]);
});

/** Begins an upload without a length, of which so much has been sent when this resolves. */
const begin = (bytes: number) =>
  new Promise<{ cut: () => void }>((resolve, reject) => {
    const { hostname, port } = new URL(installation().url);
    const socket = connect(Number(port), hostname, () => {
      const head = [
        `PUT /v1/disks/${disk.id}/artifacts/content?path=/cut HTTP/1.1`,
        `host: ${hostname}`,
        `authorization: Bearer ${tenant.key}`,
        'transfer-encoding: chunked',
      ];
      socket.write(`${head.join('\r\n')}\r\n\r\n${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`, () =>
        resolve({ cut: () => socket.resetAndDestroy() }),
      );
    });
    socket.on('error', reject);
  });

/** Of the other tenant's. */
const uploadWithoutLength = async (): Promise<number> => {
  const body = Readable.toWeb(Readable.from([new TextEncoder().encode('whole')])) as ReadableStream;
  const init = { method: 'PUT', body, duplex: 'half' } as RequestInit;
  return (await otherDisk.api('/content?path=/whole', init)).status;
};

test('uploads without a length that are reset by their clients hold nobody up afterwards', async () => {
  for (const bytes of [1, 1, 1, 1, 1, 1, 1, 9 * 1024 * 1024]) (await begin(bytes)).cut();
  const cut = await Promise.all(Array.from({ length: 8 }, () => begin(100)));
  for (const upload of cut) upload.cut();
  expect([200, 201]).toContain(await uploadWithoutLength());
  const { status } = await disk.api('/stat?path=/cut');
  expect(status).toBe(404);
});

test("a tenant whose uploads stand still does not keep another's from beginning", async () => {
  const still = await Promise.all(Array.from({ length: 8 }, () => begin(100)));
  expect([200, 201]).toContain(await uploadWithoutLength());
  for (const upload of still) upload.cut();
});
