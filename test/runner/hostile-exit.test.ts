import { afterAll, beforeAll, expect, test } from 'vitest';
import { attachment, processSpec, startHarness, type Harness } from './support/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

test.each([
  { told: { exitCode: null, signal: 'SIGKILL' }, reason: 'signalled' },
  { told: { exitCode: 1, signal: null }, reason: 'exited' },
])('an agent that claims to be out of memory is not believed: $reason', async ({ told, reason }) => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  const spec = processSpec();
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.length === 2);
  session.end(spec.processId, { ...told, reason: 'oom' });
  const events = await edge.until(channel, (all) => all.at(-1)?.t === 'exit');
  expect(events.at(-1)).toMatchObject({ exit: { ...told, reason } });
});
