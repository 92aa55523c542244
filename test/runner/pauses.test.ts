import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { SandboxOutcome } from '../../runner/protocol/jobs.ts';
import { waitFor } from '../wait-for.ts';
import type { Event } from './support/edge.ts';
import { attachment, processSpec, startHarness, type Harness } from './support/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());
beforeEach(() => {
  harness.engine.pauseGate = Promise.resolve();
  harness.engine.stopGate = Promise.resolve();
});

const outcomeOf = (events: Event[]): SandboxOutcome => {
  const last = events.at(-1);
  if (last?.t !== 'result') throw new Error(`refused: ${JSON.stringify(last)}`);
  return last.value as SandboxOutcome;
};
const pause = async (sandboxId: string, revision: number, memory: boolean) =>
  outcomeOf(await harness.edge.call('sandbox.pause', { sandboxId }, { revision, memory }));
const resume = (sandboxId: string, revision: number, ttlMs = 60_000) =>
  harness.edge.call('sandbox.resume', { sandboxId }, { revision, ttlMs });
const kill = (sandboxId: string, revision: number) =>
  harness.edge.call('sandbox.kill', { sandboxId }, { revision, graceMs: 0 });
const observed = (sandboxId: string) =>
  harness.plane.beats.at(-1)?.sandboxes.find((sandbox) => sandbox.sandboxId === sandboxId);
/** By a beat that knows of the revision. */
const reported = (sandboxId: string, state: string, revision: number, timeoutMs = 8_000) =>
  waitFor(
    `${state} in a beat`,
    () => {
      const seen = observed(sandboxId);
      return seen?.state === state && seen.revision === revision && seen;
    },
    timeoutMs,
    5,
  );
const runs = async (sandboxId: string) =>
  (await harness.edge.call('process.list', { sandboxId }, { details: false })).at(-1)?.t === 'result';
const deadlinePassed = (sandboxId: string) =>
  waitFor(
    'the deadline to pass',
    () => harness.logs.some((line) => line.includes('sandbox_deadline') && line.includes(sandboxId)),
    8_000,
    5,
  );
const containerOf = (sandboxId: string) => {
  const at = [...harness.engine.containers.values()].at(-1);
  if (!at) throw new Error(`no container of ${sandboxId}`);
  return at;
};
const gate = () => {
  let open = () => {};
  return { closed: new Promise<void>((resolve) => (open = resolve)), open: () => open() };
};

test('a pause that keeps the files only ends processes, stops the container and gives its memory back', async () => {
  const { edge } = harness;
  const { sandboxId } = await harness.create();
  const spec = processSpec();
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.at(-1)?.t === 'started');
  const paused = await pause(sandboxId, 2, false);
  expect(paused).toMatchObject({ state: 'paused', memoryKept: false, memoryFreed: true });
  expect(containerOf(sandboxId).state).toBe('exited');
  const ended = await edge.until(channel, (events) => events.at(-1)?.t === 'exit');
  expect(ended.at(-1)).toMatchObject({ exit: { reason: 'killed', signal: 'SIGKILL' } });
  const refused = await edge.call('process.start', { sandboxId }, { spec: processSpec(), attach: null });
  expect(refused.at(-1)).toMatchObject({ fault: { code: 'sandbox_not_running' } });
  await kill(sandboxId, 3);
});

test('a pause that keeps the files only tells a reader that was behind the end of a process that had ended before', async () => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  const spec = processSpec();
  const quick = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(quick, (events) => events.at(-1)?.t === 'started');
  const process = { processId: spec.processId };
  const slow = await edge.deliver('process.attach', { sandboxId }, { process, attach: attachment });
  await edge.until(slow, (events) => events.at(-1)?.t === 'started');
  session.say(spec.processId, 0, 'four');
  session.end(spec.processId, { exitCode: 3 }, 7, 0);
  await edge.until(quick, (events) => events.at(-1)?.t === 'exit');
  await pause(sandboxId, 2, false);
  const told = await edge.until(slow, (events) => events.at(-1)?.t === 'exit', 5_000);
  expect(told.slice(-2)).toMatchObject([
    { t: 'lagged', droppedBytes: 3 },
    { t: 'exit', o: 7, exit: { exitCode: 3, reason: 'exited' } },
  ]);
  await kill(sandboxId, 3);
});

test('resumed, it begins anew in the same container: same id, its environment, a new deadline', async () => {
  const { sandboxId, session } = await harness.create({ env: { SECRET: 'kept' } });
  const { id } = containerOf(sandboxId);
  await pause(sandboxId, 2, false);
  session.configured = undefined;
  const resumed = outcomeOf(await resume(sandboxId, 3, 120_000));
  expect(resumed).toMatchObject({ state: 'running' });
  expect(resumed.expiresAtMs).toBeGreaterThan(Date.now() + 100_000);
  expect(session.configured).toMatchObject({ env: { PATH: '/usr/bin', SECRET: 'kept' }, cwd: '/home/user' });
  expect(containerOf(sandboxId)).toMatchObject({ id, state: 'running' });
  await kill(sandboxId, 4);
});

test('resumed without its memory, what was frozen begins anew with its files, and nothing of it goes on', async () => {
  const { edge, engine } = harness;
  const { sandboxId, session } = await harness.create({ env: { SECRET: 'kept' } });
  const channel = await edge.deliver('process.start', { sandboxId }, { spec: processSpec(), attach: attachment });
  await edge.until(channel, (events) => events.at(-1)?.t === 'started');
  expect(await pause(sandboxId, 2, true)).toMatchObject({ memoryKept: true });
  session.configured = undefined;
  const cold = (revision: number) =>
    edge.call('sandbox.resume', { sandboxId }, { revision, ttlMs: 60_000, memory: false });
  engine.failStops = 1;
  expect((await cold(3)).at(-1)).toMatchObject({ fault: { code: 'engine_failed' } });
  expect(containerOf(sandboxId).state).toBe('paused');
  expect(outcomeOf(await cold(4))).toMatchObject({ state: 'running', memoryKept: false });
  expect(session.configured).toMatchObject({ env: { SECRET: 'kept' } });
  const events = await edge.until(channel, (all) => all.at(-1)?.t === 'exit');
  expect(events.at(-1)).toMatchObject({ exit: { reason: 'killed' } });
  expect(await runs(sandboxId)).toBe(true);
  await kill(sandboxId, 5);
});

test('environments are in no log, and in a journal that only its owner reads', async () => {
  const { sandboxId } = await harness.create({ env: { SECRET: 'nowhere-in-logs' } });
  await pause(sandboxId, 2, false);
  await resume(sandboxId, 3);
  expect(harness.logs.join('')).not.toContain('nowhere-in-logs');
  for (const file of ['journal.sqlite', 'journal.sqlite-wal']) {
    expect(statSync(join(harness.dataDir, file)).mode & 0o077).toBe(0);
  }
  await kill(sandboxId, 4);
});

test('an engine that refuses leaves it as it was: running at a pause, paused at a resume', async () => {
  const { engine, edge } = harness;
  const { sandboxId } = await harness.create();
  engine.failPauses = 1;
  const frozen = await edge.call('sandbox.pause', { sandboxId }, { revision: 2, memory: true });
  expect(frozen.at(-1)).toMatchObject({ fault: { code: 'engine_failed' } });
  engine.failStops = 1;
  const stopped = await edge.call('sandbox.pause', { sandboxId }, { revision: 3, memory: false });
  expect(stopped.at(-1)).toMatchObject({ fault: { code: 'engine_failed' } });
  expect(await runs(sandboxId)).toBe(true);
  await pause(sandboxId, 4, false);
  engine.failRestarts = 1;
  expect((await resume(sandboxId, 5)).at(-1)).toMatchObject({ fault: { code: 'engine_failed' } });
  expect(await runs(sandboxId)).toBe(false);
  expect(containerOf(sandboxId).state).toBe('exited');
  expect(outcomeOf(await resume(sandboxId, 6))).toMatchObject({ state: 'running' });
  await kill(sandboxId, 7);
});

test.each([true, false])(
  'at its timeout it is paused and reported, again after each resume (memory %s)',
  async (keep) => {
    const { sandboxId } = await harness.create({ ttlMs: 1_000, onTimeout: 'pause', keepMemory: keep });
    const report = await reported(sandboxId, 'paused', 1);
    expect(report).toMatchObject({ memoryKept: keep, memoryFreed: !keep });
    expect(report.expiresAtMs).toBeGreaterThan(Date.now() + 500_000); // the time of the pause itself
    expect(outcomeOf(await resume(sandboxId, 2, 1_000))).toMatchObject({ state: 'running' });
    expect(await reported(sandboxId, 'paused', 2)).toMatchObject({ memoryKept: keep });
    await kill(sandboxId, 3);
  },
);

test('a paused sandbox ends at its pause’s own time, also where it was to be paused at its timeout', async () => {
  const { sandboxId } = await harness.create({ ttlMs: 1_000, pausedTtlMs: 1_000, onTimeout: 'pause' });
  expect(await reported(sandboxId, 'ended', 1)).toMatchObject({ endReason: 'timeout' });
});

test('a job that is under way at the timeout goes first, and what it left is not paused again', async () => {
  const { engine, edge } = harness;
  const { sandboxId } = await harness.create({ ttlMs: 1_000, onTimeout: 'pause' });
  const held = gate();
  engine.pauseGate = held.closed;
  const pausing = await edge.deliver('sandbox.pause', { sandboxId }, { revision: 2, memory: true });
  await edge.until(pausing, (events) => events.length > 0);
  await deadlinePassed(sandboxId);
  held.open();
  await edge.until(pausing, (events) => events.length > 1);
  await resume(sandboxId, 3, 60_000);
  expect(await runs(sandboxId)).toBe(true);
  await kill(sandboxId, 4);
});

test('a kill while it is being paused at its timeout wins', async () => {
  const { engine } = harness;
  const held = gate();
  engine.pauseGate = held.closed;
  const { sandboxId } = await harness.create({ ttlMs: 1_000, onTimeout: 'pause' });
  const before = engine.containers.size;
  await deadlinePassed(sandboxId);
  const killing = kill(sandboxId, 2); // it waits for what it has aborted
  held.open();
  expect(outcomeOf(await killing)).toMatchObject({ state: 'ended' });
  expect(engine.containers.size).toBe(before - 1);
});

test('an engine that refuses the pause at the timeout is asked again', async () => {
  harness.engine.failPauses = 1;
  const { sandboxId } = await harness.create({ ttlMs: 1_000, onTimeout: 'pause' });
  expect(await reported(sandboxId, 'paused', 1, 15_000)).toMatchObject({ memoryKept: true });
  await kill(sandboxId, 2);
});

test('a timeout of 0 pauses at once what is to be paused at its timeout', async () => {
  const { edge } = harness;
  const { sandboxId } = await harness.create({ onTimeout: 'pause', keepMemory: false });
  const now = { revision: 2, ttlMs: 0, onlyExtend: false };
  expect(outcomeOf(await edge.call('sandbox.deadline', { sandboxId }, now))).toMatchObject({
    state: 'paused',
    memoryFreed: true,
  });
  expect(outcomeOf(await edge.call('sandbox.deadline', { sandboxId }, { ...now, revision: 3 }))).toMatchObject({
    state: 'ended',
  });
});

test('after a crash a stopped sandbox still rests, and one that was frozen without a record of it runs', async () => {
  const { engine } = harness;
  const stopped = await harness.create({ env: { KEPT: 'yes' } });
  await pause(stopped.sandboxId, 2, false);
  const frozen = await harness.create();
  containerOf(frozen.sandboxId).state = 'paused'; // the engine's doing, which the journal never heard of
  await harness.crash();
  expect(await reported(stopped.sandboxId, 'paused', 2)).toMatchObject({ memoryKept: false, memoryFreed: true });
  expect(await runs(frozen.sandboxId)).toBe(true);
  expect(outcomeOf(await resume(stopped.sandboxId, 3))).toMatchObject({ state: 'running' });
  const session = harness.sessions.findLast(({ configured }) => configured?.env['KEPT'] === 'yes');
  expect(session).toBeDefined();
  for (const { sandboxId } of [stopped, frozen]) await kill(sandboxId, 5);
  expect([...engine.containers.values()].filter(({ state }) => state === 'exited')).toEqual([]);
});

test('after a crash in the middle of a stop or a start, it rests with its files', async () => {
  const { sandboxId } = await harness.create();
  await pause(sandboxId, 2, false);
  containerOf(sandboxId).state = 'running'; // the engine has begun to start it, or has not ended all of it
  await harness.crash();
  expect(containerOf(sandboxId).state).toBe('exited');
  expect(await reported(sandboxId, 'paused', 2)).toMatchObject({ memoryFreed: true });
  await kill(sandboxId, 3);
});

test('after a crash in the middle of a thaw it runs, for no longer than a sandbox that was just resumed', async () => {
  const { sandboxId } = await harness.create({ ttlMs: 60_000 });
  await pause(sandboxId, 2, true);
  containerOf(sandboxId).state = 'running';
  await harness.crash();
  expect((await reported(sandboxId, 'running', 2)).expiresAtMs).toBeLessThan(Date.now() + 61_000);
  expect(outcomeOf(await resume(sandboxId, 3)).expiresAtMs).toBeLessThan(Date.now() + 61_000);
  await kill(sandboxId, 4);
});
