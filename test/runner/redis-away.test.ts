import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { newSandboxId } from './support/edge.ts';
import { attachment, processSpec, sandboxSpec, startHarness, type Harness } from './support/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

test('Redis stopped and started again, its data and users gone: jobs, controls and output flow again', async () => {
  const { edge, redis, runner } = harness;
  const { sandboxId, session } = await harness.create();
  const before = processSpec();
  const channel = await edge.deliver('process.start', { sandboxId }, { spec: before, attach: attachment });
  await edge.until(channel, (events) => events.length === 2);

  await redis.stop();
  session.say(before.processId, 0, 'said while Redis was away');
  await redis.start();
  // The edge makes its stream anew when it is back; the runner its own, and its lease.
  await edge.makeStream();
  const client = redis.client();
  const inStream = `in-${runner.runnerId}-${runner.boot}`;
  await waitFor(
    'the lease and the in-stream',
    async () => (await client.exists(`lease-${runner.runnerId}`, inStream)) === 2,
    20_000,
  );

  const after = processSpec();
  const again = await edge.deliver('process.start', { sandboxId }, { spec: after, attach: attachment });
  await edge.until(again, (events) => events.length === 2, 20_000);
  session.say(after.processId, 0, 'x');
  await edge.say({ c: again, t: 'credit', bytes: 77 });
  await waitFor('the credit', () => session.granted === 77, 10_000);
  session.end(after.processId);
  await edge.until(again, (events) => events.at(-1)?.t === 'exit');
  const sandbox = { sandboxId: newSandboxId() };
  const created = await edge.call('sandbox.create', sandbox, { revision: 1, spec: sandboxSpec() }, 20_000);
  expect(created.at(-1)).toMatchObject({ t: 'result' });
  expect(harness.fatal).toEqual([]);
});

test('output that was said while Redis was away arrives once, in order, when its stream is still there', async () => {
  const { edge, redis } = harness;
  const { sandboxId, session } = await harness.create();
  const spec = processSpec();
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.length === 2);
  // The connections are cut in the middle of it; Redis and its data stay.
  const client = redis.client();
  let offset = 0;
  for (let round = 0; round < 20; round++) {
    for (let index = 0; index < 50; index++) session.say(spec.processId, offset++, String(index % 10));
    if (round % 4 === 1) await client.call('CLIENT', 'KILL', 'USER', `runner-${harness.runner.runnerId}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  session.end(spec.processId);
  const events = await edge.until(channel, (all) => all.at(-1)?.t === 'exit', 20_000);
  const text = events.map(({ bytes }) => String(bytes ?? '')).join('');
  expect(text).toBe('0123456789'.repeat(100));
});
