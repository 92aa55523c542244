import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { attachment, processSpec, startHarness, type Harness } from './support/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

const runTo = async (sandboxId: string, session: { end(processId: string): void }): Promise<string> => {
  const spec = processSpec();
  const channel = await harness.edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await harness.edge.until(channel, (events) => events.length === 2);
  session.end(spec.processId);
  await harness.edge.until(channel, (events) => events.at(-1)?.t === 'exit');
  return spec.processId;
};

/** As often as it was reported. */
const reported = (sandboxId: string): string[] =>
  harness.plane.beats
    .flatMap(({ history }) => history)
    .filter((of) => of.sandboxId === sandboxId)
    .flatMap(({ records }) => records.map(({ processId }) => processId));

const ask = (sandboxId: string) => harness.edge.call('sandbox.history', { sandboxId }, {});

test('what ran is reported before the answer, once, also where the sandbox has ended', async () => {
  const { sandboxId, session } = await harness.create();
  const first = await runTo(sandboxId, session);
  await Promise.all([ask(sandboxId), ask(sandboxId), ask(sandboxId)]);
  expect(reported(sandboxId)).toEqual([first]);
  const second = await runTo(sandboxId, session);
  await harness.edge.call('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 0 });
  expect((await ask(sandboxId)).map(({ t }) => t)).toEqual(['accepted', 'result']);
  expect(reported(sandboxId)).toEqual([first, second]);
});

test('a sandbox of which nothing is owed costs no heartbeat', async () => {
  const { sandboxId } = await harness.create();
  await waitFor('a beat', () => harness.plane.beats.length > 0, 6_000);
  const beats = harness.plane.beats.length;
  for (let count = 0; count < 20; count += 1) await ask(sandboxId);
  // A regular one may fall in between.
  expect(harness.plane.beats.length - beats).toBeLessThanOrEqual(1);
});

test('a control plane that is away holds nobody up, and hears of it later', async () => {
  const { sandboxId, session } = await harness.create();
  const processId = await runTo(sandboxId, session);
  harness.plane.away = true;
  const startedAtMs = performance.now();
  expect((await ask(sandboxId)).at(-1)?.t).toBe('result');
  expect(performance.now() - startedAtMs).toBeLessThan(2_000);
  harness.plane.away = false;
  await waitFor('the report', () => reported(sandboxId).includes(processId), 12_000);
  expect(reported(sandboxId)).toEqual([processId]);
});
