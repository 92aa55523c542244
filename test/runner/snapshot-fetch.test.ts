import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogger } from '../../runner/log.ts';
import { packArchive } from '../../runner/snapshots/archive.ts';
import { LayerGuard } from '../../runner/snapshots/layer-guard.ts';
import { Snapshots } from '../../runner/snapshots/snapshots.ts';
import { EngineDouble } from './support/doubles.ts';

const key = randomBytes(32);
/** A tar without entries. */
const layer = async function* () {
  yield Buffer.alloc(1024);
};

let folder: string;
let snapshots: Snapshots;
let store: Server;
let sealed: Buffer;
let requests = 0;
let letGo = Promise.withResolvers<void>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gbx-fetch-'));
  const log = createLogger(() => undefined);
  const engine = new EngineDouble();
  snapshots = new Snapshots({ engine, directory: folder, cacheLimitMiB: 64, diskLimitMiB: 64, log });
  await snapshots.open();
  const guard = new LayerGuard({ bytes: 10_000, entries: 10 });
  const archive = packArchive(key, { env: { A: '1' }, memory: null }, { layer: layer(), memory: undefined }, guard);
  const pieces: Buffer[] = [];
  for await (const piece of archive) pieces.push(piece);
  sealed = Buffer.concat(pieces);
  requests = 0;
  letGo = Promise.withResolvers();
  store = createServer((_request, response) => {
    requests += 1;
    response.writeHead(206, { 'content-length': sealed.length });
    response.write(sealed.subarray(0, 10));
    void letGo.promise.then(() => response.end(sealed.subarray(10)));
  });
  await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  letGo.resolve();
  await snapshots.close(true);
  store.close();
  await rm(folder, { recursive: true, force: true });
});

const boot = (id: string, signal = new AbortController().signal) => {
  const { port } = store.address() as AddressInfo;
  const source = {
    id,
    key: key.toString('base64'),
    sizeBytes: sealed.length,
    url: `http://127.0.0.1:${port}/${id}`,
    inheritEnvironment: true,
  };
  return snapshots.boot(source, { tenantId: 'tenant', signal }, async ({ environment }) => environment);
};

test('who gives up is let go at once; the fetch goes on, and the next one finds what it brought', async () => {
  const id = randomBytes(16).toString('hex');
  const abort = new AbortController();
  const first = boot(id, abort.signal);
  await expect.poll(() => requests).toBe(1);
  abort.abort(new Error('its time is up'));
  await expect(first).rejects.toThrow('its time is up');
  const second = boot(id);
  letGo.resolve();
  expect(await second).toEqual({ A: '1' });
  expect(await boot(id)).toEqual({ A: '1' });
  expect(requests).toBe(1);
});
