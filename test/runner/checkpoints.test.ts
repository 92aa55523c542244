import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SandboxOutcome } from '../../runner/protocol/jobs.ts';
import { Capacity } from '../../runner/sandboxes/capacity.ts';
import { waitFor } from '../wait-for.ts';
import { EngineDouble } from './support/doubles.ts';
import type { Event } from './support/edge.ts';
import { attachment, processSpec, startHarness, type Harness } from './support/harness.ts';

/** A node whose probe has found that checkpoints work. */
let harness: Harness;
beforeAll(async () => {
  const engine = new EngineDouble();
  engine.offersCheckpoints = true;
  harness = await startHarness({}, engine);
  harness.plane.answer = {
    ...harness.plane.answer,
    pool: [{ template: 'base', image: 'glovebox/base:latest', network: 'off', count: 0 }],
  };
  const reported = () => harness.plane.beats.at(-1)?.checkpoint === 'criu';
  await waitFor('the capability in a beat', reported, 40_000);
});
afterAll(() => harness.close());

const outcomeOf = (events: Event[]): SandboxOutcome => {
  const last = events.at(-1);
  if (last?.t !== 'result') throw new Error(`refused: ${JSON.stringify(last)}`);
  return last.value as SandboxOutcome;
};
const pause = async (sandboxId: string, revision = 2) =>
  outcomeOf(await harness.edge.call('sandbox.pause', { sandboxId }, { revision, memory: true }));
const resume = (sandboxId: string, revision = 3) =>
  harness.edge.call('sandbox.resume', { sandboxId }, { revision, ttlMs: 60_000 });
const end = async (sandboxId: string) => {
  await harness.edge.call('sandbox.kill', { sandboxId }, { revision: 9, graceMs: 0 });
};
const stateOf = () => [...harness.engine.containers.values()].at(-1)?.state;
const runs = async (sandboxId: string) =>
  (await harness.edge.call('process.list', { sandboxId }, { details: false })).at(-1)?.t === 'result';
/** A process with a reader; its events so far. */
const start = async (sandboxId: string) => {
  const spec = processSpec();
  const channel = await harness.edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await harness.edge.until(channel, (events) => events.at(-1)?.t === 'started');
  return { processId: spec.processId, channel };
};

test('a pause that keeps processes writes them to disk and frees their memory; resumed, their readers hear them again', async () => {
  const { sandboxId, session } = await harness.create();
  const { processId, channel } = await start(sandboxId);
  expect(await pause(sandboxId)).toMatchObject({ state: 'paused', memoryKept: true, memoryFreed: true });
  expect(stateOf()).toBe('exited');
  expect(session.hungUp).toBe(true); // no connection to the host may be written down
  session.configured = undefined;
  expect(outcomeOf(await resume(sandboxId))).toMatchObject({ state: 'running', memoryKept: true });
  expect(session).toMatchObject({ hungUp: false, configured: undefined }); // it is the same agent
  expect(harness.engine.checkpoints.size).toBe(0);
  session.say(processId, 0, 'on');
  session.end(processId);
  const events = await harness.edge.until(channel, (all) => all.at(-1)?.t === 'exit');
  expect(events.map(({ t }) => t)).toEqual(['accepted', 'started', 'data', 'exit']);
  await end(sandboxId);
});

test('where no checkpoint can be made it is frozen, and the answer says so', async () => {
  const { sandboxId, session } = await harness.create();
  harness.engine.failCheckpoints = 1;
  expect(await pause(sandboxId)).toMatchObject({ memoryKept: true, memoryFreed: false });
  expect(stateOf()).toBe('paused');
  expect(session.hungUp).toBe(false);
  expect(outcomeOf(await resume(sandboxId))).toMatchObject({ state: 'running', memoryKept: true });
  await end(sandboxId);
});

test('one that would be ahead of its network rules or its isolation when it is restored is frozen', async () => {
  const { sandboxId } = await harness.create();
  harness.engine.confined = false;
  expect(await pause(sandboxId)).toMatchObject({ memoryKept: true, memoryFreed: false });
  harness.engine.confined = true;
  await resume(sandboxId);
  expect(await pause(sandboxId, 4)).toMatchObject({ memoryKept: true, memoryFreed: true });
  await end(sandboxId);
});

test('what can’t be restored begins anew with its files, and the answer says so', async () => {
  const { sandboxId, session } = await harness.create({ env: { KEPT: 'yes' } });
  const { channel } = await start(sandboxId);
  await pause(sandboxId);
  session.configured = undefined;
  harness.engine.failRestores = 1;
  expect(outcomeOf(await resume(sandboxId))).toMatchObject({ state: 'running', memoryKept: false });
  expect(session.configured).toMatchObject({ env: { KEPT: 'yes' } });
  const events = await harness.edge.until(channel, (all) => all.at(-1)?.t === 'exit');
  expect(events.at(-1)).toMatchObject({ exit: { reason: 'killed' } });
  await end(sandboxId);
});

test('resumed without its memory, what was written to disk is not restored', async () => {
  const { sandboxId, session } = await harness.create();
  const { channel } = await start(sandboxId);
  await pause(sandboxId);
  const cold = { revision: 3, ttlMs: 60_000, memory: false };
  const resumed = await harness.edge.call('sandbox.resume', { sandboxId }, cold);
  expect(outcomeOf(resumed)).toMatchObject({ state: 'running', memoryKept: false });
  expect(session.hungUp).toBe(false); // or its agent would find nobody
  const events = await harness.edge.until(channel, (all) => all.at(-1)?.t === 'exit');
  expect(events.at(-1)).toMatchObject({ exit: { reason: 'killed' } });
  await end(sandboxId);
});

test('an engine that can neither restore nor start it leaves it paused, to be resumed later', async () => {
  const { sandboxId } = await harness.create();
  await pause(sandboxId);
  harness.engine.failRestores = 1;
  harness.engine.failRestarts = 1;
  expect((await resume(sandboxId)).at(-1)).toMatchObject({ fault: { code: 'engine_failed' } });
  expect(await runs(sandboxId)).toBe(false);
  expect(outcomeOf(await resume(sandboxId, 4))).toMatchObject({ state: 'running', memoryKept: true });
  await end(sandboxId);
});

test('after a crash it still rests, and is restored by the next life', async () => {
  const { sandboxId } = await harness.create();
  await pause(sandboxId);
  await harness.crash();
  const observed = () => harness.plane.beats.at(-1)?.sandboxes.find((seen) => seen.sandboxId === sandboxId);
  expect(observed()).toMatchObject({ state: 'paused', memoryKept: true, memoryFreed: true });
  expect(outcomeOf(await resume(sandboxId))).toMatchObject({ state: 'running', memoryKept: true });
  await end(sandboxId);
});

test('what a crash has left half made of a running one’s memory is no more on the disk', async () => {
  const { sandboxId } = await harness.create();
  const containerId = [...harness.engine.containers.keys()].at(-1) ?? '';
  harness.engine.checkpoints.add(containerId);
  await harness.crash();
  expect(harness.engine.checkpoints.has(containerId)).toBe(false);
  expect(await runs(sandboxId)).toBe(true);
  await end(sandboxId);
});

test('memory that was given back is asked for again: a node that is short of it refuses', () => {
  const capacity = new Capacity({ sandboxLimit: 1, memoryFloorMiB: Number.MAX_SAFE_INTEGER });
  expect(() => capacity.checkMemory()).toThrow(expect.objectContaining({ code: 'capacity_exhausted' }));
});
