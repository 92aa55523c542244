import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { adopt } from '../../runner/adoption.ts';
import { monotonicMs } from '../../runner/clock.ts';
import { EngineWatch } from '../../runner/engine-watch.ts';
import { openJournal, type Journal } from '../../runner/journal.ts';
import { createLogger } from '../../runner/log.ts';
import { Containers } from '../../runner/sandboxes/containers.ts';
import { beginDeadline } from '../../runner/sandboxes/deadline.ts';
import { Lanes } from '../../runner/sandboxes/lanes.ts';
import { nothingUnderWay, type Sandbox } from '../../runner/sandboxes/sandbox.ts';
import { SandboxTable } from '../../runner/sandboxes/table.ts';
import { EngineDouble, SessionDouble } from './support/doubles.ts';
import { sandboxSpec } from './support/harness.ts';

const log = createLogger(() => undefined);
const kernelBoot = 'this';
const openSession = async () => new SessionDouble();
const nothing = () => undefined;

let dataDir: string;
let journal: Journal;
let engine: EngineDouble;
let containers: Containers;
let sandboxes: SandboxTable;
let lanes: Lanes;
let watch: EngineWatch | undefined;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gbx-l-'));
  journal = openJournal(join(dataDir, 'journal.sqlite'));
  engine = new EngineDouble();
  lanes = new Lanes();
  const pool = { claim: nothing, yieldTo: async <T>(create: () => Promise<T>) => await create() };
  const warmSize = { cpus: 1, memoryMiB: 256, diskMiB: 256 };
  containers = new Containers({ engine, pool, openSession, dataDir, warmSize, resizes: true, log });
  sandboxes = new SandboxTable({ journal, engine, containers, kernelBoot, onEnded: nothing, onDue: nothing, log });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'hrtime'] });
});
afterEach(async () => {
  await watch?.stop();
  watch = undefined;
  vi.useRealTimers();
  sandboxes.stop();
  containers.stop();
  journal.close();
  await rm(dataDir, { recursive: true, force: true });
});

const put = (id: string, slot = `slot-${id}`): void => {
  engine.containers.set(id, { id, slot, state: 'running' });
};

/** A running sandbox and the container that it lives in. */
function enter(id: string): Sandbox {
  put(id);
  const deadline = beginDeadline({ deadlineMode: 'fixed', ttlMs: 86_400_000, pausedTtlMs: 86_400_000 }, monotonicMs());
  const sandbox: Sandbox = {
    id,
    tenantId: 'tenant',
    epoch: 1,
    revision: 1,
    state: 'running',
    rest: undefined,
    cpus: 1,
    memoryMiB: 256,
    egress: { allow: [], deny: [] },
    home: { containerId: id, slot: `slot-${id}`, session: new SessionDouble() },
    deadline,
    onTimeout: 'kill',
    keepMemory: true,
    endReason: undefined,
    endedAtMs: undefined,
    recorded: false,
    ...nothingUnderWay(),
  };
  sandboxes.put(sandbox);
  return sandbox;
}

const left = () => [...engine.containers.keys()];

function startWatch(pooled: ReadonlySet<string> = new Set()): void {
  const pool = { containerEnded: nothing, slots: pooled };
  watch = new EngineWatch({ engine, pool, containers, sandboxes, lanes, log });
  watch.start();
}

test('a leftover that the engine keeps refusing to remove holds no runner up, and goes when the engine lets it', async () => {
  put('left');
  engine.failRemovals = Infinity;
  let adopted = false;
  const adoption = adopt({ engine, journal, sandboxes, containers, openSession, dataDir, kernelBoot, log }).then(() => {
    adopted = true;
  });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(adopted).toBe(true);
  await adoption;
  expect(left()).toEqual(['left']);
  engine.failRemovals = 0;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(left()).toEqual([]);
});

test('a container that nobody answers for is removed within two minutes; one of a sandbox, of the pool or of a probe stays', async () => {
  enter('sandbox');
  put('pooled', 'pooled');
  put('nobodys');
  const probe = Promise.withResolvers<undefined>();
  const probing = containers.withSlot(async (slot) => {
    put('probe', slot);
    await probe.promise;
  });
  startWatch(new Set(['pooled']));
  await vi.advanceTimersByTimeAsync(120_000);
  expect(left()).toEqual(['sandbox', 'pooled', 'probe']);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(left()).toEqual(['sandbox', 'pooled', 'probe']);
  probe.resolve(undefined);
  await probing;
  await vi.advanceTimersByTimeAsync(120_000);
  expect(left()).toEqual(['sandbox', 'pooled']);
});

test('one that the engine refuses to remove is tried again', async () => {
  put('nobodys');
  engine.failRemovals = 1;
  startWatch();
  await vi.advanceTimersByTimeAsync(90_000);
  expect(left()).toEqual(['nobodys']);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(left()).toEqual([]);
});

test('one that is between two owners every other time that it is looked at stays', async () => {
  const slots = new Set<string>();
  put('passed on', 'slot');
  startWatch(slots);
  for (let look = 0; look < 10; look++) {
    slots.add('slot');
    await vi.advanceTimersByTimeAsync(59_000);
    if (look % 2 === 0) slots.delete('slot');
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(left()).toEqual(['passed on']);
});

test('a claimed container is somebody’s while it is fitted to its sandbox', async () => {
  const fitted = Promise.withResolvers<undefined>();
  engine.resize = () => fitted.promise;
  const session = new SessionDouble();
  put('claimed');
  const claimed = { containerId: 'claimed', slot: 'slot-claimed', session, imageEnv: {} };
  const pool = { claim: () => claimed, yieldTo: async <T>(create: () => Promise<T>) => await create() };
  const warmSize = { cpus: 1, memoryMiB: 256, diskMiB: 256 };
  containers = new Containers({ engine, pool, openSession, dataDir, warmSize, resizes: true, log });
  const obtained = containers.obtain(sandboxSpec({ cpus: 2 }), new AbortController().signal);
  startWatch();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(left()).toEqual(['claimed']);
  fitted.resolve(undefined);
  expect(await obtained).toMatchObject({ warm: true, container: { containerId: 'claimed' } });
});

const stateOf = (id: string) => engine.containers.get(id)?.state;
const limitMs = 60_000;

/** As a pause's job does it. */
async function pause(sandbox: Sandbox): Promise<void> {
  await engine.pause(sandbox.id);
  sandbox.state = 'paused';
  sandbox.rest = 'frozen';
}

test('a running sandbox that a snapshot has left frozen goes on', async () => {
  enter('left frozen');
  startWatch();
  await engine.pause('left frozen');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(stateOf('left frozen')).toBe('running');
});

test('what stands still for a job that is under way, or is paused on record, stays so', async () => {
  const sandbox = enter('paused');
  const recording = Promise.withResolvers<undefined>();
  const job = lanes.run(sandbox.id, { key: 'pause', kill: false, limitMs }, async () => {
    await engine.pause(sandbox.id);
    await recording.promise;
    await pause(sandbox);
  });
  await vi.advanceTimersByTimeAsync(0);
  startWatch();
  await vi.advanceTimersByTimeAsync(50_000);
  expect(stateOf('paused')).toBe('paused');
  recording.resolve(undefined);
  await job;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(stateOf('paused')).toBe('paused');
});

test('a pause that comes while it is thawed is not undone', async () => {
  const sandbox = enter('thawing');
  await engine.pause(sandbox.id);
  const answer = Promise.withResolvers<undefined>();
  const unpause = engine.unpause.bind(engine);
  engine.unpause = async (id) => {
    await answer.promise;
    await unpause(id);
  };
  startWatch();
  await vi.advanceTimersByTimeAsync(0);
  const job = lanes.run(sandbox.id, { key: 'pause', kill: false, limitMs }, () => pause(sandbox));
  await vi.advanceTimersByTimeAsync(1_000);
  answer.resolve(undefined);
  await job;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(stateOf('thawing')).toBe('paused');
});

test('a sandbox whose container dies while the watch begins to look is not thought alive', async () => {
  const sandbox = enter('short');
  const list = engine.list.bind(engine);
  engine.list = async () => {
    const before = await list();
    engine.emit({ kind: 'exited', containerId: 'short', exitCode: 137 });
    engine.list = async () => [];
    return before;
  };
  startWatch();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sandbox).toMatchObject({ state: 'ended', endReason: 'failed' });
});
