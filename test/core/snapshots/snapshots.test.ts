import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { getSandbox } from '../../../worker/core/sandboxes/get-sandbox.ts';
import { createSnapshot } from '../../../worker/core/snapshots/create-snapshot.ts';
import { deleteSnapshot } from '../../../worker/core/snapshots/delete-snapshot.ts';
import { getSnapshot } from '../../../worker/core/snapshots/find-snapshot.ts';
import { forkSandbox } from '../../../worker/core/snapshots/fork-sandbox.ts';
import { listSnapshots } from '../../../worker/core/snapshots/list-snapshots.ts';
import { planParts } from '../../../worker/core/snapshots/store-snapshot.ts';
import { sweepSnapshots } from '../../../worker/core/storage/sweep-snapshots.ts';
import { getLogs } from '../../../worker/core/sandboxes/get-logs.ts';
import { snapshotWorld } from './world.ts';

const unnamed = { name: null, tag: 'default', memory: true };
const minuteMs = 60_000;
const everything = { id: undefined, sandboxId: undefined, name: undefined, tag: undefined };
const firstPage = { ...everything, order: 'desc', cursor: undefined, limit: 100 } as const;

test('parts are of one size but the last, at least 16 MiB, few enough, and the whole', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (sizeBytes) => {
      const parts = planParts(sizeBytes);
      expect(parts.length).toBeLessThanOrEqual(128);
      expect(parts.map(({ part }) => part)).toEqual(parts.map((_, at) => at + 1));
      expect(parts.reduce((sum, part) => sum + part.sizeBytes, 0)).toBe(sizeBytes);
      const sizes = new Set(parts.slice(0, -1).map((part) => part.sizeBytes));
      expect(sizes.size).toBeLessThanOrEqual(1);
      for (const size of sizes) expect(size).toBeGreaterThanOrEqual(16 * 1024 * 1024);
      expect(parts.at(-1)?.sizeBytes).toBeGreaterThan(0);
    }),
  );
});

describe('a snapshot', () => {
  test('is there once its object is whole, counts as stored, and leaves its sandbox as it was', async () => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const made = await createSnapshot(world.ctx, source.id, unnamed);
    expect(made).toMatchObject({ state: 'ready', sandboxId: source.id, sizeBytes: 100, multipartId: null });
    expect(world.objects.get(`snapshots/ten_test/${made.id}`)).toHaveLength(100);
    expect(await getSandbox(world.ctx, source.id)).toMatchObject({ state: 'running', openJob: null });
    expect(world.storage()).toMatchObject({ bytes: 100 });
    expect(world.wrongSums()).toEqual([]);
  });

  test.each(['sandbox.snapshot', 'snapshot.upload'])('whose %s fails leaves nothing', async (failing) => {
    const world = await snapshotWorld({ refuse: (job) => (job === failing ? 'transfer_failed' : undefined) });
    const source = await world.newSandbox();
    await expect(createSnapshot(world.ctx, source.id, unnamed)).rejects.toMatchObject({ code: 'transfer_failed' });
    await world.settled();
    expect(world.rows('select * from snapshots')).toEqual([]);
    expect(world.objects.size + world.parts.size).toBe(0);
    expect(world.dropped).toHaveLength(1);
    expect(world.storage()).toEqual({ bytes: 0, condemned_bytes: 0 });
    expect(await getSandbox(world.ctx, source.id)).toMatchObject({ state: 'running', openJob: null });
  });

  test('that is more than the tenant may store is refused before a byte of it is stored', async () => {
    const world = await snapshotWorld({ sizeBytes: 600 });
    const source = await world.newSandbox();
    await createSnapshot(world.ctx, source.id, unnamed);
    await expect(createSnapshot(world.ctx, source.id, unnamed)).rejects.toMatchObject({ code: 'quota_exceeded' });
    await world.settled();
    expect(world.objects.size + world.parts.size).toBe(1);
    expect(world.storage()).toMatchObject({ bytes: 600 });
  });

  test('is one of at most a thousand', async () => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const { id } = await createSnapshot(world.ctx, source.id, unnamed);
    world.rows(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < 999) insert into snapshots
        select 'x' || i, tenant_id, sandbox_id, runner_id, purpose, state, name, tag, template, image, cpus, memory_mib, memory_kept,
          0, 0, null, created_at_ms, null from snapshots, n where id = '${id}'`,
    );
    await expect(createSnapshot(world.ctx, source.id, unnamed)).rejects.toMatchObject({ code: 'quota_exceeded' });
  });

  test('takes the place of an older one with its name and tag, whose bytes go later', async () => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const old = await createSnapshot(world.ctx, source.id, { name: 'work', tag: 'default', memory: true });
    const other = await createSnapshot(world.ctx, source.id, { name: 'work', tag: 'v2', memory: true });
    const fresh = await createSnapshot(world.ctx, source.id, { name: 'work', tag: 'default', memory: true });
    expect(await getSnapshot(world.ctx, { name: 'work', tag: 'default' })).toEqual(fresh);
    await expect(getSnapshot(world.ctx, { id: old.id })).rejects.toMatchObject({ code: 'not_found' });
    const { snapshots } = await listSnapshots(world.ctx, firstPage);
    expect(snapshots.map(({ id }) => id).toSorted()).toEqual([other.id, fresh.id].toSorted());
    expect(world.storage()).toEqual({ bytes: 200, condemned_bytes: 100 });
    world.pass(16 * minuteMs);
    expect(await sweepSnapshots(world.ctx, world.ctx.now())).toBe(1);
    expect(world.objects.size).toBe(2);
    expect(world.storage()).toEqual({ bytes: 200, condemned_bytes: 0 });
    expect(world.wrongSums()).toEqual([]);
  });

  test('that was deleted is gone for its tenant at once; a quarter of an hour later it is gone altogether', async () => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const { id } = await createSnapshot(world.ctx, source.id, unnamed);
    await deleteSnapshot(world.ctx, { id });
    await expect(deleteSnapshot(world.ctx, { id })).rejects.toMatchObject({ code: 'not_found' });
    expect(await sweepSnapshots(world.ctx, world.ctx.now())).toBe(0);
    world.pass(16 * minuteMs);
    expect(await sweepSnapshots(world.ctx, world.ctx.now())).toBe(1);
    expect(world.rows('select * from snapshots')).toEqual([]);
    expect(world.objects.size).toBe(0);
  });

  test('whose making was broken off is swept with what was uploaded of it, and one that is ready is not', async () => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const ready = await createSnapshot(world.ctx, source.id, unnamed);
    const left = await createSnapshot(world.ctx, source.id, unnamed);
    const key = `snapshots/ten_test/${left.id}`;
    await world.ctx.snapshotObjects.createMultipart(key);
    const sweepAtMs = world.ctx.now() + minuteMs;
    world.rows(
      `update snapshots set state = 'making', multipart_id = '${key}', sweep_at_ms = ${sweepAtMs} where id = '${left.id}'`,
    );
    world.pass(2 * minuteMs);
    expect(await sweepSnapshots(world.ctx, world.ctx.now())).toBe(1);
    expect([...world.objects.keys()]).toEqual([`snapshots/ten_test/${ready.id}`]);
    expect(world.parts.size).toBe(0);
    expect(world.storage()).toMatchObject({ bytes: 100 });
    expect(world.wrongSums()).toEqual([]);
  });
});

describe('what a sweep finds', () => {
  test('that can’t be removed makes way for the others, and is tried again later', async () => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const { id } = await createSnapshot(world.ctx, source.id, unnamed);
    world.rows(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < 102) insert into snapshots
        select printf('%03d', i), tenant_id, sandbox_id, runner_id, purpose, 'deleted', name, tag, template, image, cpus, memory_mib,
          memory_kept, 0, 0, null, created_at_ms, 0 from snapshots, n where id = '${id}'`,
    );
    let broken = true;
    const { snapshotObjects: store } = world.ctx;
    const snapshotObjects = {
      ...store,
      delete: async (keys: readonly string[]) => {
        if (broken && keys.some((key) => /0\d\d$|100$/.test(key))) throw new Error('the store is unwell');
        await store.delete(keys);
      },
    };
    const sweep = () => sweepSnapshots({ ...world.ctx, snapshotObjects }, world.ctx.now());
    await expect(sweep()).rejects.toThrow('100 snapshots could not be removed');
    expect(await sweep()).toBe(2);
    expect(await sweep()).toBe(0);
    broken = false;
    world.pass(11 * minuteMs);
    expect(await sweep()).toBe(100);
    expect(world.rows('select id from snapshots')).toEqual([{ id }]);
  });
});

describe('a snapshot whose last answer of the database is lost', () => {
  /** The batch that finishes it, and whether it was done before its answer was lost. */
  const losing = async (done: boolean) => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const { directory } = world.ctx;
    const batch: typeof directory.batch = async (statements) => {
      if (done) await directory.batch(statements);
      throw new Error('the connection broke');
    };
    const ctx = { ...world.ctx, directory: Object.assign(Object.create(directory) as typeof directory, { batch }) };
    return { world, making: createSnapshot(ctx, source.id, unnamed) };
  };

  test('is answered where it is ready', async () => {
    const { world, making } = await losing(true);
    const made = await making;
    expect(await getSnapshot(world.ctx, { id: made.id })).toEqual(made);
    await world.settled();
    expect(world.objects.size).toBe(1);
    expect(world.dropped).toEqual([]);
  });

  test('leaves nothing where it is not', async () => {
    const { world, making } = await losing(false);
    await expect(making).rejects.toThrow('the connection broke');
    await world.settled();
    expect(world.rows('select * from snapshots')).toEqual([]);
    expect(world.objects.size).toBe(0);
    expect(world.storage()).toEqual({ bytes: 0, condemned_bytes: 0 });
  });

  test('nor where the worker ended before it: the sweep has its object and its bytes go once it is late', async () => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const { directory } = world.ctx;
    const never: typeof directory.batch = () => new Promise(() => undefined);
    const ctx = {
      ...world.ctx,
      directory: Object.assign(Object.create(directory) as typeof directory, { batch: never }),
    };
    void createSnapshot(ctx, source.id, unnamed);
    await expect.poll(() => world.objects.size).toBe(1);
    expect(await sweepSnapshots(world.ctx, world.ctx.now())).toBe(0);
    world.pass(41 * minuteMs);
    expect(await sweepSnapshots(world.ctx, world.ctx.now())).toBe(1);
    expect(world.objects.size).toBe(0);
    expect(world.rows('select * from snapshots')).toEqual([]);
    expect(world.storage()).toEqual({ bytes: 0, condemned_bytes: 0 });
  });
});

describe('a fork', () => {
  const [here, elsewhere] = ['1'.repeat(16), '2'.repeat(16)] as [string, string];
  const two = { count: 2, timeoutSeconds: 60 };

  test('is made on the node of its source without a way through the store, and leaves nothing of its snapshot', async () => {
    const world = await snapshotWorld();
    const source = await world.newSandbox();
    const { results, memoryKept } = await forkSandbox(world.ctx, source.id, two);
    expect(memoryKept).toBe(false);
    const child = { sandbox: { state: 'running', metadata: { a: 'b' } } };
    expect(results).toMatchObject([child, child]);
    expect(world.sources).toEqual([
      { runnerId: here, url: null },
      { runnerId: here, url: null },
    ]);
    await world.settled();
    expect(world.objects.size).toBe(0);
    expect(world.rows('select * from snapshots')).toEqual([]);
    expect(world.dropped).toHaveLength(1);
  });

  test.each([
    [true, [true, true], true],
    [true, [true, false], false],
    [false, [false, false], false],
  ])(
    'says truthfully whether processes go on in all of them (taken %s, brought back %j)',
    async (memory, back, kept) => {
      const world = await snapshotWorld({ memory, restored: (creates) => back[creates - 1] ?? false });
      const source = await world.newSandbox();
      const { results, memoryKept } = await forkSandbox(world.ctx, source.id, two);
      expect(memoryKept).toBe(kept);
      const ids = results.map((forked) => ('sandbox' in forked ? forked.sandbox.id : ''));
      const query = { order: 'asc', cursor: undefined, limit: 100, fromMs: undefined } as const;
      const logs = await Promise.all(ids.map((id) => getLogs(world.ctx, id, query)));
      const told = logs.filter((log) => JSON.stringify(log).includes('could not be brought back'));
      expect(told).toHaveLength(memory ? back.filter((one) => !one).length : 0);
    },
  );

  test('for which its source’s node has no room goes elsewhere through the store, which keeps nothing', async () => {
    let full = false;
    const world = await snapshotWorld({
      runners: [here, elsewhere],
      refuse: (job, runnerId) =>
        full && job === 'sandbox.create' && runnerId === here ? 'capacity_exhausted' : undefined,
    });
    const source = await world.newSandbox();
    full = true;
    const { results } = await forkSandbox(world.ctx, source.id, two);
    expect(results).toMatchObject([{ sandbox: { runnerId: elsewhere } }, { sandbox: { runnerId: elsewhere } }]);
    expect(world.sources).toMatchObject([{ url: expect.any(String) }, { url: expect.any(String) }]);
    await world.settled();
    expect(world.objects.size).toBe(0);
    expect(world.storage()).toEqual({ bytes: 0, condemned_bytes: 0 });
  });
});
