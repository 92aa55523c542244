import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { hex } from './support/edge.ts';
import { startTestNode, type TestNode } from './support/node.ts';

const MIB = 1024 * 1024;
const path = '/home/user/large.bin';
let node: TestNode;
let sandboxId: string;
beforeAll(async () => {
  node = await startTestNode();
  sandboxId = await node.create();
});
afterAll(() => node.close());

/** So many MiB, then the end or a cut. */
const feed = (mebibytes: number, cut: boolean) => (response: ServerResponse) => {
  const chunk = Buffer.alloc(MIB, 'x');
  let sent = 0;
  const more = () => {
    while (sent < mebibytes) {
      sent++;
      if (!response.write(chunk)) return void response.once('drain', more);
    }
    if (cut) response.destroy();
    else response.end();
  };
  more();
};

async function upload(mebibytes: number, cut: boolean) {
  const transferId = hex(32);
  node.plane.give.set(transferId, feed(mebibytes, cut));
  const write = { kind: 'file', path, user: 'user' } as const;
  return (await node.edge.call('file.write', { sandboxId }, { write, contentBase64: null, transferId }, 60_000)).at(-1);
}

async function stat() {
  const call = { operation: 'stat', input: { path, user: 'user', followSymlinks: true } } as const;
  return (await node.edge.call('file.call', { sandboxId }, { call })).at(-1);
}

test('a large upload goes straight through to the file, and a large download out of it', async () => {
  expect(await upload(64, false)).toMatchObject({ t: 'result', value: { writtenBytes: 64 * MIB } });
  expect(await stat()).toMatchObject({ t: 'result', value: { sizeBytes: 64 * MIB } });
  const transferId = hex(32);
  const read = { kind: 'file', path, user: 'user' } as const;
  const events = await node.edge.call('file.read', { sandboxId }, { read, transferId }, 60_000);
  expect(events.map(({ t }) => t)).toEqual(['accepted', 'result', 'end']);
  expect(node.plane.taken.get(transferId)).toEqual({ bytes: 64 * MIB, cut: false, done: true });
});

test('an upload that is cut leaves the target as it was and is answered transfer_failed', async () => {
  await upload(2, false);
  expect(await upload(8, true)).toMatchObject({ t: 'error', fault: { code: 'transfer_failed' } });
  expect(await stat()).toMatchObject({ value: { sizeBytes: 2 * MIB } });
});

test('a download whose reader detaches is cut, and is seen as cut', async () => {
  await upload(64, false);
  const transferId = hex(32);
  const read = { kind: 'file', path, user: 'user' } as const;
  node.plane.holdPuts = true;
  const channel = await node.edge.deliver('file.read', { sandboxId }, { read, transferId });
  await waitFor('the first bytes', () => (node.plane.taken.get(transferId)?.bytes ?? 0) > 0, 10_000);
  await node.edge.say({ c: channel, t: 'detach' });
  node.plane.holdPuts = false;
  await waitFor('the cut', () => node.plane.taken.get(transferId)?.cut, 10_000);
  expect(node.plane.taken.get(transferId)?.done).toBe(false);
});

test('a file that is missing is said by its own name, not as a broken transfer', async () => {
  const read = { kind: 'file', path: '/home/user/nothing', user: 'user' } as const;
  const events = await node.edge.call('file.read', { sandboxId }, { read, transferId: hex(32) });
  expect(events.at(-1)).toMatchObject({ t: 'error', fault: { code: 'file_not_found' } });
});

test('small content goes inside the job and back as events', async () => {
  const content = Buffer.from(createHash('sha512').update('seed').digest()).toString('base64');
  const target = { path: '/home/user/small', user: 'user' };
  const write = { kind: 'file', ...target } as const;
  await node.edge.call('file.write', { sandboxId }, { write, contentBase64: content, transferId: null });
  const read = { kind: 'file', ...target } as const;
  const events = await node.edge.call('file.read', { sandboxId }, { read, transferId: null });
  expect(events.map(({ t }) => t)).toEqual(['accepted', 'result', 'data', 'end']);
  expect(events[2]?.bytes?.toString('base64')).toBe(content);
});
