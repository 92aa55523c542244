import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogger } from '../../runner/log.ts';
import { SnapshotStore } from '../../runner/snapshots/store.ts';

const mib = 1024 ** 2;
const gib = 1024 ** 3;
const signal = new AbortController().signal;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gbx-store-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const newId = () => randomBytes(16).toString('hex');
const open = async (over: Partial<ConstructorParameters<typeof SnapshotStore>[0]> = {}) => {
  const log = createLogger(() => undefined);
  const store = new SnapshotStore({ directory: folder, limitBytes: gib, log, ...over });
  await store.open();
  return store;
};
async function* bytes(count: number): AsyncGenerator<Uint8Array> {
  for (let left = count; left > 0; left -= mib) yield new Uint8Array(Math.min(left, mib));
}

test('a snapshot that would take the node’s last room is given up on its way, and leaves nothing', async () => {
  let freeBytes = 2 * gib;
  const store = await open({ freeBytes: async () => (freeBytes -= 600 * mib) });
  let readBytes = 0;
  const large = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes(200 * mib)) {
      readBytes += chunk.length;
      yield chunk;
    }
  };
  await expect(store.write(newId(), large(), signal)).rejects.toMatchObject({ code: 'no_space' });
  expect(readBytes).toBeLessThan(80 * mib);
  expect(await readdir(folder)).toEqual([]);
});

test('one that is replaced while it is read is evicted in its turn, when it is read no more', async () => {
  const store = await open({ limitBytes: 3 * mib });
  const [first, second] = [newId(), newId()];
  await store.write(first, bytes(2 * mib), signal);
  await store.use(first, async () => {
    await store.write(first, bytes(2 * mib), signal);
    await store.write(second, bytes(2 * mib), signal);
    expect(store.has(first)).toBe(true);
  });
  expect([store.has(first), store.has(second)]).toEqual([false, true]);
});
