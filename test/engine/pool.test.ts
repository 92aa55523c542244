import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createAgentSession } from '../../runner/agent/host.ts';
import type { AgentSession } from '../../runner/agent/session.ts';
import { WarmPool, type WarmPoolParts } from '../../runner/engine/pool.ts';
import type { ContainerRequest } from '../../runner/engine/port.ts';
import { createLogger } from '../../runner/log.ts';
import { startTestEngine, type TestEngine } from '../security/sandbox.ts';
import { waitFor } from '../wait-for.ts';

const log = createLogger(() => undefined);
const size = { cpus: 1, memoryMiB: 256, diskMiB: 256 };
const base = { template: 'base', image: 'glovebox/base:latest', network: 'off' as const };

describe('with real containers', () => {
  let its: TestEngine;
  let folder: string;
  let pool: WarmPool;

  beforeAll(async () => {
    its = await startTestEngine();
    folder = await mkdtemp(join(tmpdir(), 'gbx-'));
    pool = new WarmPool({
      engine: its.engine,
      openSession: (socketDir) => createAgentSession({ socketDir, log: () => undefined }),
      socketDirOf: (slot) => join(folder, slot),
      size,
      limit: 4,
      hasRoom: () => true,
      log,
    });
  });
  afterAll(async () => {
    await pool?.close();
    await its?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  const ready = (count: number): Promise<boolean> =>
    waitFor(`${count} ready`, () => pool.stats()[0]?.ready === count, 20_000);

  test('a claim gives a connected, unused container at once, and the pool fills up again', async () => {
    pool.setTargets([{ ...base, count: 2 }]);
    await ready(2);
    const claimed = pool.claim(base);
    if (claimed === undefined) throw new Error('nothing was claimed');
    expect(await claimed.session.list()).toEqual([]);
    expect(claimed.imageEnv['PATH']).toContain('/usr/bin');
    expect(pool.slots.has(claimed.slot)).toBe(false);
    await ready(2);
    expect(pool.claim({ ...base, network: 'on' })).toBeUndefined();
    await claimed.session.close();
    await its.engine.remove(claimed.containerId);
  });

  test('a member whose container dies is dropped and replaced, and is never claimed', async () => {
    await ready(2);
    const [victim] = await its.engine.list();
    if (victim === undefined) throw new Error('the pool is empty');
    await its.docker.getContainer(victim.id).kill();
    await waitFor(
      'the victim to be gone',
      async () => (await its.engine.list()).every(({ id }) => id !== victim.id),
      10_000,
    );
    await ready(2);
    expect(pool.slots.has(victim.slot)).toBe(false);
  });

  test('a lower target drains, and close leaves no container', async () => {
    pool.setTargets([{ ...base, count: 1 }]);
    await waitFor('one container', async () => (await its.engine.list()).length === 1, 10_000);
    pool.setTargets([]);
    await waitFor('none', async () => (await its.engine.list()).length === 0, 10_000);
    expect(pool.stats()).toEqual([]);
    pool.setTargets([{ ...base, count: 1 }]);
    await pool.close();
    expect(await its.engine.list()).toEqual([]);
  });
});

describe('by its rules', () => {
  let pool: WarmPool;
  afterEach(() => pool.close());

  /** An engine that only counts: what matters here is when the pool asks for what. */
  function openPool(over: Partial<WarmPoolParts> = {}) {
    const started: ContainerRequest[] = [];
    const removed: string[] = [];
    const sessions = new Map<string, { connected: boolean }>();
    let atOnce = 0;
    let mostAtOnce = 0;
    const engine: WarmPoolParts['engine'] = {
      async start(request) {
        mostAtOnce = Math.max(mostAtOnce, ++atOnce);
        await new Promise((resolve) => setImmediate(resolve));
        atOnce -= 1;
        started.push(request);
        return { id: `c-${request.slot}`, slot: request.slot, state: 'running', imageEnv: {}, memoryKept: false };
      },
      async remove(id) {
        removed.push(id);
      },
      findExit: async () => undefined,
    };
    const openSession = async (socketDir: string): Promise<AgentSession> => {
      const session = { connected: true, ready: async () => undefined, close: async () => undefined };
      sessions.set(socketDir, session);
      return session as unknown as AgentSession;
    };
    pool = new WarmPool({
      engine,
      openSession,
      socketDirOf: (slot) => slot,
      size,
      limit: 8,
      hasRoom: () => true,
      log,
      ...over,
    });
    return { started, removed, sessions, mostAtOnce: () => mostAtOnce };
  }
  const settled = (what: string, probe: () => boolean): Promise<boolean> => waitFor(what, probe, 5_000, 2);

  test('refills happen one at a time, and never beyond the limit', async () => {
    const its = openPool({ limit: 3 });
    pool.setTargets([
      { ...base, count: 2 },
      { ...base, network: 'on', count: 6 },
    ]);
    await settled('the limit', () => its.started.length === 3);
    pool.setTargets([
      { ...base, count: 2 },
      { ...base, network: 'on', count: 6 },
    ]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(its.started).toHaveLength(3);
    expect(its.mostAtOnce()).toBe(1);
    expect(new Set(its.started.map(({ network }) => network))).toEqual(new Set(['on', 'off']));
  });

  test('no refill begins while a create is under way', async () => {
    const its = openPool();
    pool.setTargets([{ ...base, count: 1 }]);
    await settled('one', () => pool.stats()[0]?.ready === 1);
    const create = Promise.withResolvers<string>();
    // The claim of the create itself leaves the place that a refill is to fill.
    const created = pool.yieldTo(async () => {
      expect(pool.claim(base)).toBeDefined();
      return await create.promise;
    });
    pool.setTargets([{ ...base, count: 2 }]);
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(its.started).toHaveLength(1);
    create.resolve('done');
    expect(await created).toBe('done');
    await settled('the refill', () => its.started.length === 3);
  });

  test('a failing image is tried ever less often, and told in the statistics', async () => {
    let attempts = 0;
    openPool({
      engine: {
        start: async () => {
          attempts += 1;
          throw new Error('no such thing');
        },
        remove: async () => undefined,
        findExit: async () => undefined,
      },
    });
    pool.setTargets([{ ...base, count: 4 }]);
    await settled('the first failure', () => pool.stats()[0]?.failure === 'no such thing');
    pool.setTargets([{ ...base, count: 4 }]);
    pool.claim(base);
    expect(attempts).toBe(1);
  });

  test('a member whose agent went away is not given out, and is removed', async () => {
    const its = openPool();
    pool.setTargets([{ ...base, count: 1 }]);
    await settled('one', () => pool.stats()[0]?.ready === 1);
    for (const session of its.sessions.values()) session.connected = false;
    expect(pool.claim(base)).toBeUndefined();
    await settled('its removal', () => its.removed.length === 1);
  });

  test('a kind that is drained while its refill is under way keeps nothing', async () => {
    const its = openPool();
    pool.setTargets([{ ...base, count: 1 }]);
    pool.setTargets([]);
    await settled('the removal', () => its.removed.length === its.started.length);
    expect(pool.stats()).toEqual([]);
  });

  test('nothing is started where the node has no room', async () => {
    const its = openPool({ hasRoom: () => false });
    pool.setTargets([{ ...base, count: 1 }]);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(its.started).toHaveLength(0);
  });
});
