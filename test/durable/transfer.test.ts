import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JoinAnswer } from '../../runner/protocol/node-report.ts';
import { startTestRedis, type TestRedis } from '../runner/support/redis-server.ts';
import { startTestControlPlane, type TestControlPlane } from './support/control-plane.ts';
import { joined } from './support/joined.ts';
import { hex, TestRunner } from './support/runner.ts';

const MIB = 1024 * 1024;
const entry = {
  name: 'a',
  path: '/a',
  kind: 'file',
  sizeBytes: 5,
  mode: 0o644,
  uid: 0,
  gid: 0,
  owner: 'r',
  group: 'r',
  modifiedAtMs: 1,
};
const ref = { tenantId: 'ten_1', sandboxId: `00${hex(5)}4${hex(2).slice(1)}8${hex(8).slice(1)}`, requestId: 'req-1' };
const target = { kind: 'file', path: '/a', user: 'user' };

let redis: TestRedis;
let plane: TestControlPlane;
let runner: TestRunner;
let identity: JoinAnswer;

beforeAll(async () => {
  redis = await startTestRedis();
  plane = await startTestControlPlane(redis.url);
  identity = await joined(plane);
  runner = await new TestRunner(redis.url, identity.runnerId).start();
  const route = {
    tenantId: 'ten_1',
    runnerId: runner.id,
    epoch: 1,
    revision: 1,
    state: 'running',
    deadlineMode: 'fixed',
  };
  await plane.call('broker', 'setRoute', ref.sandboxId, route);
});
afterAll(async () => {
  await runner?.stop();
  await plane?.stop();
  await redis?.close();
});

const transferUrl = (id: string) => `${plane.url}/internal/transfers/${id}`;
const authorized = (who = identity) => ({ authorization: `Bearer ${who.secret}` });

/** `count` MiB, then the end, or an abort. */
const blocks = (count: number, cutAfter = Infinity) => {
  const block = Buffer.alloc(MIB, 'x');
  let sent = 0;
  return new Readable({
    read() {
      if (sent >= cutAfter) this.destroy(new Error('cut'));
      else this.push(sent++ < count ? block : null);
    },
  });
};

/** Runs as the runner's side of a write: how many bytes came, and whether they ended or were cut. */
const receiveUploads = () => {
  const received: { bytes: number; error: unknown }[] = [];
  runner.onJob = async ({ data, say }) => {
    await say({ t: 'accepted' });
    const { transferId } = data as unknown as { transferId: string };
    let bytes = 0;
    try {
      const response = await fetch(transferUrl(transferId), { headers: authorized() });
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      for await (const chunk of response.body) bytes += chunk.byteLength;
      received.push({ bytes, error: undefined });
      await say({ t: 'result', value: { writtenBytes: bytes } });
    } catch (error) {
      received.push({ bytes, error });
      await say({ t: 'error', fault: { code: 'transfer_failed', message: 'cut' } });
    }
  };
  return received;
};

/** node:http, since it lets go of a connection in the middle of a body. */
const upload = (body: Readable, contentBytes: number | undefined): Promise<{ status: number; text: string } | Error> =>
  new Promise((resolve) => {
    const headers = {
      'x-call': JSON.stringify({ port: 'broker', method: 'writeFile', args: [ref, target] }),
      ...(contentBytes === undefined ? {} : { 'content-length': String(contentBytes) }),
    };
    const outgoing = httpRequest(plane.url, { method: 'POST', headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    outgoing.on('error', resolve);
    body.on('error', (error) => outgoing.destroy(error));
    body.pipe(outgoing);
  });

for (const known of [true, false]) {
  const how = known ? 'of known length' : 'of unknown length';
  test(`an upload ${how} reaches the runner whole`, async () => {
    const received = receiveUploads();
    const beganMs = performance.now();
    const answer = await upload(blocks(100), known ? 100 * MIB : undefined);
    console.info(`upload ${how}: ${Math.round(100_000 / (performance.now() - beganMs))} MiB/s`);
    expect(answer).toMatchObject({ status: 200 });
    expect(received).toEqual([{ bytes: 100 * MIB, error: undefined }]);
  });

  test(`an upload ${how} that is cut fails at the runner and does not just end`, async () => {
    const received = receiveUploads();
    await upload(blocks(10, 5), known ? 10 * MIB : undefined);
    await expect.poll(() => received.length, { timeout: 25_000 }).toBe(1);
    expect(received[0]?.error).toBeInstanceOf(Error);
  });

  test(`a download ${how} arrives whole`, async () => {
    runner.onJob = serve(100, known, Infinity);
    const beganMs = performance.now();
    const response = await plane.raw('readFile', [ref, target]);
    let bytes = 0;
    for await (const chunk of response.body ?? []) bytes += (chunk as Uint8Array).byteLength;
    console.info(`download ${how}: ${Math.round(100_000 / (performance.now() - beganMs))} MiB/s`);
    expect(bytes).toBe(100 * MIB);
  });

  test(`a download ${how} that is cut fails at the client and does not just end`, async () => {
    runner.onJob = serve(10, known, 5);
    const response = await plane.raw('readFile', [ref, target]);
    await expect(response.arrayBuffer()).rejects.toThrow(/terminated|aborted/);
  });
}

const serve =
  (count: number, known: boolean, cutAfter: number): TestRunner['onJob'] =>
  async ({ data, say }) => {
    const { transferId } = data as unknown as { transferId: string | null };
    await say({ t: 'accepted' });
    await say({ t: 'result', value: { entry, contentBytes: count * MIB } });
    if (transferId === null) return;
    const headers = { ...authorized(), ...(known ? { 'content-length': String(count * MIB) } : {}) };
    const outgoing = httpRequest(transferUrl(transferId), { method: 'PUT', headers }, (response) => response.resume());
    outgoing.on('error', () => undefined);
    const body = blocks(count, cutAfter);
    body.on('error', (error) => outgoing.destroy(error));
    body.pipe(outgoing);
  };

test('an id is of no use to another runner', async () => {
  const other = await joined(plane);
  const statuses: number[] = [];
  runner.onJob = async ({ data, say }) => {
    await say({ t: 'accepted' });
    const { transferId } = data as unknown as { transferId: string };
    statuses.push((await fetch(transferUrl(transferId), { headers: authorized(other) })).status);
    await say({ t: 'error', fault: { code: 'transfer_failed', message: 'x' } });
  };
  await upload(blocks(2), 2 * MIB);
  expect(statuses).toEqual([404]);
});

test('without a runner’s secret there is no transfer', async () => {
  expect((await fetch(transferUrl(hex(32)))).status).toBe(401);
});
