import { afterAll, beforeAll, expect, test } from 'vitest';
import { RunnerError } from '../../runner/protocol/errors.ts';
import { leaseKey } from '../../runner/protocol/ids.ts';
import { waitFor } from '../wait-for.ts';
import { hex, newSandboxId } from './support/edge.ts';
import { attachment, processSpec, sandboxSpec, startHarness, type Harness } from './support/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

test('a sandbox is created, runs a command and is killed, all under the runner’s own Redis user', async () => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  expect(session.configured?.env).toMatchObject({ PATH: '/usr/bin', GREETING: 'hello' });

  const spec = processSpec();
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.length === 2);
  session.say(spec.processId, 0, 'out');
  session.end(spec.processId);
  const events = await edge.until(channel, (all) => all.at(-1)?.t === 'exit');
  expect(events.map(({ t }) => t)).toEqual(['accepted', 'started', 'data', 'exit']);
  expect(String(events[2]?.bytes)).toBe('out');

  const killed = await edge.call('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 0 });
  expect(killed.at(-1)).toMatchObject({ t: 'result', value: { state: 'ended', expiresAtMs: null } });
  expect(session.closed).toBe(true);
  expect(harness.logs.filter((line) => line.includes('NOPERM'))).toEqual([]);
});

test('an exec past its startBy is refused and never reaches the agent', async () => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  const spec = processSpec();
  const startByMs = (await edge.nowMs()) - 1;
  const events = await edge.call('process.start', { sandboxId }, { spec, attach: attachment, startByMs });
  expect(events.map(({ t }) => t)).toEqual(['error']);
  expect(events[0]).toMatchObject({ fault: { code: 'not_started' } });
  expect(session.started.size).toBe(0);
});

test('an exec whose start the agent did not confirm is ended, in case it begins', async () => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  const spec = processSpec({ session: 'main' });
  session.start = async () => {
    throw new RunnerError('agent_unavailable', 'The connection broke.');
  };
  const events = await edge.call('process.start', { sandboxId }, { spec, attach: attachment });
  expect(events.at(-1)).toMatchObject({ t: 'error', fault: { code: 'agent_unavailable' } });
  await waitFor('it to be ended', () => session.signals.includes(`${spec.processId} SIGKILL`), 5_000);
});

test('an exec with another epoch is told that its route is stale', async () => {
  const { sandboxId } = await harness.create();
  const events = await harness.edge.call(
    'process.start',
    { sandboxId, epoch: 2 },
    { spec: processSpec(), attach: null },
  );
  expect(events.at(-1)).toMatchObject({ t: 'error', fault: { code: 'sandbox_not_found' } });
});

test('exec in a paused sandbox is refused, and works again after resume', async () => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  const paused = await edge.call('sandbox.pause', { sandboxId }, { revision: 2, memory: true });
  expect(paused.at(-1)).toMatchObject({ value: { state: 'paused', memoryKept: true, memoryFreed: false } });
  const refused = await edge.call('process.start', { sandboxId }, { spec: processSpec(), attach: null });
  expect(refused.at(-1)).toMatchObject({ fault: { code: 'sandbox_not_running' } });
  await edge.call('sandbox.resume', { sandboxId }, { revision: 3, ttlMs: 60_000 });
  const spec = processSpec();
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: null });
  await edge.until(channel, (events) => events.at(-1)?.t === 'started');
  session.end(spec.processId);
});

test('a repeated revision is answered with the recorded outcome and done once', async () => {
  const { edge, engine } = harness;
  const sandboxId = newSandboxId();
  const first = await edge.call('sandbox.create', { sandboxId }, { revision: 1, spec: sandboxSpec() });
  const starts = engine.starts;
  const again = await edge.call('sandbox.create', { sandboxId }, { revision: 1, spec: sandboxSpec() });
  expect(again.at(-1)).toMatchObject({ t: 'result', value: (first.at(-1) as { value: unknown }).value as object });
  expect(engine.starts).toBe(starts);
});

test('a lower revision than one already seen is refused as stale', async () => {
  const { edge } = harness;
  const { sandboxId } = await harness.create();
  await edge.call('sandbox.deadline', { sandboxId }, { revision: 5, ttlMs: 60_000, onlyExtend: false });
  const events = await edge.call('sandbox.pause', { sandboxId }, { revision: 4, memory: true });
  expect(events.at(-1)).toMatchObject({ fault: { code: 'stale_revision' } });
});

test('a kill overtakes a running create, which leaves nothing behind', async () => {
  const { edge, engine } = harness;
  const sandboxId = newSandboxId();
  let open = () => {};
  engine.startGate = new Promise((resolve) => (open = resolve));
  const before = engine.containers.size;
  const create = await edge.deliver('sandbox.create', { sandboxId }, { revision: 1, spec: sandboxSpec() });
  await waitFor('the create to reach the engine', () => harness.edge.events(create).length > 0, 5_000);
  const kill = await edge.deliver('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 0 });
  await waitFor('the kill to be begun', () => harness.edge.events(kill).length > 0, 5_000);
  open();
  engine.startGate = Promise.resolve();
  expect((await edge.until(kill, (all) => all.length === 2)).at(-1)).toMatchObject({ value: { state: 'ended' } });
  expect((await edge.until(create, (all) => all.length === 2)).at(-1)).toMatchObject({
    fault: { code: 'stale_revision' },
  });
  expect(engine.containers.size).toBe(before);
});

test('exec in a sandbox that is being ended is told that it has ended', async () => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  let open = () => {};
  const terminated = new Promise<void>((resolve) => (open = resolve));
  session.terminateAll = () => terminated;
  const kill = await edge.deliver('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 1_000 });
  await waitFor('the kill to be begun', () => edge.events(kill).length > 0, 5_000);
  const refused = await edge.call('process.start', { sandboxId }, { spec: processSpec(), attach: null });
  expect(refused.at(-1)).toMatchObject({ fault: { code: 'sandbox_not_found', message: 'The sandbox is ending.' } });
  open();
  await edge.until(kill, (all) => all.length === 2);
});

test('a kill before its create leaves a tombstone that refuses the create', async () => {
  const { edge, engine } = harness;
  const sandboxId = newSandboxId();
  const starts = engine.starts;
  await edge.call('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 0 });
  const create = await edge.call('sandbox.create', { sandboxId }, { revision: 1, spec: sandboxSpec() });
  expect(create.at(-1)).toMatchObject({ fault: { code: 'stale_revision' } });
  expect(engine.starts).toBe(starts);
});

test('credit, stdin in order and detach reach the agent; the process outlives its reader', async () => {
  const { edge } = harness;
  const { sandboxId, session } = await harness.create();
  const spec = processSpec({ stdin: 'pipe' });
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.length === 2);
  await edge.say({ c: channel, t: 'credit', bytes: 1000 });
  const target = { sandboxId, epoch: 1, process: { processId: spec.processId } };
  const startByMs = (await edge.nowMs()) + 60_000; // two thousand of them take their time on a busy machine
  const control = { t: 'control', out: edge.stream, requestId: 'r', startByMs, target } as const;
  const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index}\n`);
  let last = '';
  for (const line of lines) {
    last = hex(16);
    await edge.say({ ...control, c: last, command: { op: 'stdin' } }, Buffer.from(line));
  }
  await edge.until(last, (events) => events.at(-1)?.t === 'result');
  expect(session.stdin).toEqual(lines);
  const inStream = `in-${harness.runner.runnerId}-${harness.runner.boot}`;
  expect(await harness.redis.client().xlen(inStream)).toBeLessThan(100);
  await edge.say({ ...control, c: last, command: { op: 'stdin' } }, Buffer.from('again'));
  await edge.say({ c: channel, t: 'detach' });
  await waitFor('the silent watcher to take over', () => session.get(spec.processId).sinks.size === 1, 5_000);
  expect(session.stdin.length).toBe(lines.length);
  expect(session.granted).toBe(1000);
  session.say(spec.processId, 0, 'nobody hears this');
  expect(edge.events(channel).map(({ t }) => t)).toEqual(['accepted', 'started']);
  session.end(spec.processId);
});

test('when the reader’s stream is gone its channels are detached and nothing makes the stream anew', async () => {
  const { edge, redis } = harness;
  const { sandboxId, session } = await harness.create();
  const spec = processSpec();
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.length === 2);
  const [original] = session.get(spec.processId).sinks;
  await edge.dropStream();
  session.say(spec.processId, 0, 'lost');
  await waitFor('the reader to be replaced', () => original && !session.get(spec.processId).sinks.has(original), 5_000);
  expect(await redis.client().exists(edge.stream)).toBe(0);
  await edge.makeStream();
});

test('at deadline plus grace the runner ends the call whatever the agent says', async () => {
  const { edge } = harness;
  const { sandboxId } = await harness.create();
  const spec = processSpec({ timeoutMs: 100 });
  const startedAtMs = performance.now();
  const events = await edge.call('process.start', { sandboxId }, { spec, attach: attachment });
  expect(events.at(-1)).toMatchObject({ t: 'exit', exit: { reason: 'deadline', signal: 'SIGKILL' } });
  expect(performance.now() - startedAtMs).toBeLessThan(10_000);
});

test('the lease names this boot and the in-stream exists before the first job', async () => {
  const client = harness.redis.client();
  expect(await client.get(leaseKey(harness.runner.runnerId))).toBe(harness.runner.boot);
  expect(await client.pttl(`in-${harness.runner.runnerId}-${harness.runner.boot}`)).toBeGreaterThan(0);
});
