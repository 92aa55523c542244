import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import type { Event } from './support/edge.ts';
import { attachment, processSpec, startHarness, type Harness } from './support/harness.ts';

const kinds = (events: readonly { t: string }[]) => events.map(({ t }) => t);
const textOf = (events: Event[]) => events.map(({ bytes }) => String(bytes ?? '')).join('');

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

const start = async (attach: typeof attachment | null) => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  const spec = processSpec();
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach });
  await edge.until(channel, (events) => events.some(({ t }) => t === 'started'));
  const attachAgain = () =>
    edge.deliver('process.attach', { sandboxId }, { process: { processId: spec.processId }, attach: attachment });
  return { edge, session, spec, channel, attachAgain };
};

test('of a process that has just ended, one that was attaching gets the output first, then the end', async () => {
  const { edge, session, spec, attachAgain } = await start(null);
  const { promise, resolve } = Promise.withResolvers<void>();
  session.attachGate = promise;
  const channel = await attachAgain();
  await waitFor('it to be asked for', () => session.get(spec.processId).sinks.size === 2, 5_000);
  session.end(spec.processId, { exitCode: 3 }, 4, 0); // who was there before hears of the end first
  session.say(spec.processId, 0, 'last');
  session.end(spec.processId, { exitCode: 3 }, 4, 1);
  resolve();
  const events = await edge.until(channel, (all) => all.at(-1)?.t === 'exit');
  expect(kinds(events)).toEqual(['accepted', 'started', 'data', 'exit']);
  expect(events.at(-1)).toMatchObject({ o: 4, exit: { exitCode: 3 } });
});

test('each reader is told of the end after its own output, all of them the same', async () => {
  const { edge, session, spec, channel: quick, attachAgain } = await start(attachment);
  const slow = await attachAgain();
  await edge.until(slow, (events) => events.some(({ t }) => t === 'started'));
  session.say(spec.processId, 0, 'one ');
  session.say(spec.processId, 4, 'two', 1);
  session.end(spec.processId, { exitCode: 3 }, 7, 0);
  expect(textOf(await edge.until(quick, (events) => events.at(-1)?.t === 'exit'))).toBe('one two');
  const [, sink] = session.get(spec.processId).sinks;
  sink?.data(1, 4, Buffer.from('two'));
  session.end(spec.processId, { exitCode: 4 }, 7, 1); // the first word is the one that counts
  const events = await edge.until(slow, (all) => all.at(-1)?.t === 'exit');
  expect(textOf(events)).toBe('one two');
  expect(events.at(-1)).toMatchObject({ o: 7, exit: { exitCode: 3 } });
});

test('however many readers have come and gone, one of the runner’s own waits for the exit', async () => {
  const { edge, session, spec, channel, attachAgain } = await start(attachment);
  await edge.say({ c: channel, t: 'detach' });
  const { sinks } = session.get(spec.processId);
  await waitFor('the runner’s own', () => session.attached === 1 && sinks.size === 1, 5_000);
  for (let count = 1; count <= 5; count++) {
    const again = await attachAgain();
    await edge.until(again, (events) => events.some(({ t }) => t === 'started'));
    expect(sinks.size).toBe(2);
    await edge.say({ c: again, t: 'detach' });
    await waitFor('it to be gone', () => sinks.size === 1, 5_000);
  }
  expect(session.attached).toBe(6);
});
