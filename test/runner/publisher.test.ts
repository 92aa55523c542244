import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { Publisher, type OutChannel } from '../../runner/channels/publisher.ts';
import { connectRedis, whenReady } from '../../runner/channels/connection.ts';
import { letGo } from '../../runner/protocol/channel.ts';
import { outStreamName } from '../../runner/protocol/ids.ts';
import { waitFor } from '../wait-for.ts';
import { hex } from './support/edge.ts';
import { startTestRedis, type TestRedis } from './support/redis-server.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

let server: TestRedis;
let redis: ReturnType<typeof connectRedis>;
let publisher: Publisher;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(async () => {
  redis?.disconnect();
  await server?.close();
});
afterEach(() => {
  vi.useRealTimers();
});
beforeEach(async () => {
  redis?.disconnect();
  redis = connectRedis(server.url, 'publisher', 'prompt', { log, onDenied: () => undefined });
  await whenReady(redis, 5_000);
  publisher = new Publisher(redis, log);
});

const openStream = async (): Promise<{ stream: string; channel: OutChannel }> => {
  const stream = outStreamName('shard', hex(8));
  await redis.xadd(stream, '*', 'created', '1');
  return { stream, channel: publisher.open({ stream, channel: hex(16) }, () => undefined) };
};

/** How many events each entry has, once all that was said is there. */
const entriesOf = async (stream: string, events: number): Promise<number[]> =>
  waitFor(
    `${events} events`,
    async () => {
      const entries = (await redis.xrange(stream, '-', '+')).slice(1);
      const counts = entries.map(
        ([, fields]) => fields.filter((field, index) => index % 2 === 0 && field === 'h').length,
      );
      return counts.reduce((sum, count) => sum + count, 0) === events && counts;
    },
    5_000,
  );

test('what is said in one turn is one entry of each stream', async () => {
  const [one, other] = [await openStream(), await openStream()];
  for (let index = 0; index < 20; index++) one.channel.send({ t: 'data', fd: 1, o: index }, Buffer.from('x'));
  other.channel.send({ t: 'result', value: {} });
  expect(await entriesOf(one.stream, 20)).toEqual([20]);
  expect(await entriesOf(other.stream, 1)).toEqual([1]);
  expect(publisher.bufferedBytes).toBe(0);
});

test('an entry has 16 KiB at most, or one event', async () => {
  const { stream, channel } = await openStream();
  for (const bytes of [10_000, 5_000, 5_000, 60_000, 1]) channel.send({ t: 'data', fd: 1, o: 0 }, Buffer.alloc(bytes));
  expect(await entriesOf(stream, 5)).toEqual([2, 1, 1, 1]);
});

test('a channel past what is held for Redis is let go of: its reader may attach again, nothing was missed', async () => {
  const { stream, channel } = await openStream();
  channel.send({ t: 'data', fd: 1, o: 0 }, Buffer.alloc(64 * 1024 * 1024));
  expect(channel.open).toBe(false);
  await entriesOf(stream, 1);
  const [, fields] = (await redis.xrange(stream, '-', '+')).at(-1) ?? [];
  expect(JSON.parse(fields?.[1] ?? '')).toEqual({ c: channel.id, q: 0, ...letGo });
});

test('channels that were given up while Redis was away are told so when it is back: their readers hear that something is missing', async () => {
  const [open, over] = [await openStream(), await openStream()];
  for (const { channel } of [open, over]) channel.send({ t: 'accepted' });
  await Promise.all([entriesOf(open.stream, 1), entriesOf(over.stream, 1)]);
  redis.disconnect();
  await waitFor('the connection to be closed', () => redis.status === 'end', 5_000);
  for (const { channel } of [open, over]) channel.send({ t: 'end' });
  over.channel.close();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 21_000 });
  open.channel.flush();
  vi.useRealTimers();
  expect(open.channel.open).toBe(false);
  expect(publisher.bufferedBytes).toBe(0);
  await redis.connect();
  for (const { stream, channel } of [open, over]) {
    await entriesOf(stream, 2);
    const [, fields] = (await redis.xrange(stream, '-', '+')).at(-1) ?? [];
    expect(JSON.parse(fields?.[1] ?? '')).toEqual({ c: channel.id, q: 2, ...letGo });
  }
});
