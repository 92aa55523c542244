import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Heartbeat, JoinAnswer } from '../../runner/protocol/node-report.ts';
import { redisUserName } from '../../runner/protocol/redis-acl.ts';
import { startTestRedis, type TestRedis } from '../runner/support/redis-server.ts';
import { waitFor } from '../wait-for.ts';
import { startTestControlPlane, type TestControlPlane } from './support/control-plane.ts';
import { beat, emptyBeat, join, joined } from './support/joined.ts';
import { hex } from './support/runner.ts';

let redis: TestRedis;
let plane: TestControlPlane;

beforeAll(async () => {
  redis = await startTestRedis();
  plane = await startTestControlPlane(redis.url);
});
afterAll(async () => {
  await plane?.stop();
  await redis?.close();
});

const newSandboxId = () => `00${hex(5)}4${hex(2).slice(1)}8${hex(8).slice(1)}`;
const request = (more: object = {}) => ({
  template: 'base',
  network: 'on',
  cpus: 2,
  memoryMiB: 512,
  exclude: [],
  ...more,
});
const place = (more: object = {}) =>
  plane.call<{ runnerId: string } | null>('fleet', 'place', newSandboxId(), request(more));

/** Alone in the cell, so that a test knows whom it gets. */
const onlyRunner = async (body: Partial<Heartbeat> = {}): Promise<{ runner: JoinAnswer; first: Heartbeat }> => {
  for (const { id } of await plane.sql("SELECT id FROM runners WHERE status <> 'left'")) {
    await plane.sql("UPDATE runners SET status = 'left' WHERE id = ?", id);
  }
  const runner = await joined(plane);
  const first = { ...emptyBeat(), ...body };
  await beat(plane, runner, first);
  return { runner, first };
};

const insertSandbox = async (runnerId: string, set: Record<string, unknown> = {}) => {
  const id = newSandboxId();
  const row: Record<string, unknown> = {
    id,
    tenant_id: 'ten_1',
    template: 'base',
    image: 'base',
    state: 'running',
    epoch: 1,
    revision: 1,
    last_op: hex(16),
    runner_id: runnerId,
    network: 'on',
    cpus: 2,
    memory_mib: 512,
    deadline_mode: 'fixed',
    ttl_ms: 300_000,
    metadata: '{}',
    env: '{}',
    created_at_ms: 1,
    started_at_ms: 1,
    ...set,
  };
  const names = Object.keys(row);
  await plane.sql(
    `INSERT INTO sandboxes (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
    ...Object.values(row),
  );
  return id;
};
const rowOf = async (id: string) => (await plane.sql('SELECT * FROM sandboxes WHERE id = ?', id))[0];
const running = (sandboxId: string, more: object = {}) => ({
  sandboxId,
  epoch: 1,
  revision: 1,
  state: 'running' as const,
  expiresAtMs: null,
  ...more,
});

test('joining needs the join token', async () => {
  expect((await join(plane, {}, 'wrong')).status).toBe(401);
  expect((await fetch(`${plane.url}/internal/runners/join`, { method: 'POST' })).status).toBe(401);
});

test('a runner that joins again with its secret stays who it was; a wrong secret makes a new one', async () => {
  const first = await joined(plane);
  const again = await joined(plane, { previous: { runnerId: first.runnerId, secret: first.secret } });
  expect(again).toEqual(first);
  const other = await joined(plane, { previous: { runnerId: first.runnerId, secret: 'x'.repeat(64) } });
  expect(other.runnerId).not.toBe(first.runnerId);
});

test('the Redis user reaches its own queues and no others, and is made again after Redis forgot it', async () => {
  const runner = await joined(plane);
  const works = async () => {
    const client = new Redis(runner.redisUrl, { lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.set(`lease-${runner.runnerId}`, 'x');
      await expect(client.get('lease-0000000000000000')).rejects.toThrow(/NOPERM/);
      await expect(client.keys('*')).rejects.toThrow(/NOPERM/);
      return true;
    } catch {
      return false;
    } finally {
      client.disconnect();
    }
  };
  expect(await works()).toBe(true);
  await redis.stop();
  await redis.start();
  const report = emptyBeat();
  await waitFor(
    'the user',
    async () => {
      report.sequence += 1;
      await beat(plane, runner, report);
      return works();
    },
    10_000,
  );
});

test('another runner’s path is unauthenticated, a malformed beat is invalid', async () => {
  const [one, other] = [await joined(plane), await joined(plane)];
  await expect(beat(plane, { ...one, runnerId: other.runnerId }, emptyBeat())).rejects.toThrow('401');
  await expect(beat(plane, one, { ...emptyBeat(), cpus: 'many' } as unknown as Heartbeat)).rejects.toThrow('400');
});

test('placement counts what it has promised, up to the runner’s limit', async () => {
  const { runner } = await onlyRunner({ sandboxLimit: 2, networks: ['on'] });
  const places = [await place(), await place(), await place()].map((found) => found?.runnerId);
  expect(places.filter((id) => id === runner.runnerId).length).toBeLessThanOrEqual(2);
  expect(await place({ exclude: [runner.runnerId] }).then((found) => found?.runnerId)).not.toBe(runner.runnerId);
});

test('an end that a runner reports is recorded once, with its reason, and acknowledged', async () => {
  const { runner, first } = await onlyRunner();
  const id = await insertSandbox(runner.runnerId);
  const ended = running(id, { state: 'ended', endReason: 'oom', endedAtMs: 5 });
  for (const sequence of [1, 2]) {
    const { recorded } = await beat(plane, runner, { ...first, sequence, sandboxes: [ended] });
    expect(recorded).toEqual([{ sandboxId: id, epoch: 1 }]);
  }
  expect(await rowOf(id)).toMatchObject({ state: 'ended', end_reason: 'oom', ended_at_ms: 5 });
  expect(await plane.sql("SELECT * FROM sandbox_events WHERE sandbox_id = ? AND kind = 'ended'", id)).toHaveLength(1);
});

test('an end of an older epoch changes nothing', async () => {
  const { runner, first } = await onlyRunner();
  const id = await insertSandbox(runner.runnerId, { epoch: 2 });
  await beat(plane, runner, {
    ...first,
    sequence: 1,
    sandboxes: [running(id, { state: 'ended', endReason: 'failed' })],
  });
  expect(await rowOf(id)).toMatchObject({ state: 'running' });
});

test('a sandbox that the record does not know, or has elsewhere, is to be killed', async () => {
  const { runner, first } = await onlyRunner();
  const [unknown, elsewhere] = [newSandboxId(), await insertSandbox(hex(8))];
  const { kill } = await beat(plane, runner, {
    ...first,
    sequence: 1,
    sandboxes: [running(unknown), running(elsewhere)],
  });
  expect(kill.map(({ sandboxId }) => sandboxId).toSorted()).toEqual([unknown, elsewhere].toSorted());
});

test('a sandbox missing from a restarted runner’s reports twice in a row is runner_lost, and not after once', async () => {
  const { runner } = await onlyRunner();
  const id = await insertSandbox(runner.runnerId);
  const restarted = { ...emptyBeat(), boot: hex(16) };
  await beat(plane, runner, { ...restarted, sequence: 0 });
  expect(await rowOf(id)).toMatchObject({ state: 'running' });
  await beat(plane, runner, { ...restarted, sequence: 1 });
  await beat(plane, runner, { ...restarted, sequence: 2 });
  expect(await rowOf(id)).toMatchObject({ state: 'ended', end_reason: 'runner_lost' });
});

test('a reported deadline is written when it has moved by 30 s', async () => {
  const { runner, first } = await onlyRunner();
  const id = await insertSandbox(runner.runnerId, { expires_at_ms: 100_000 });
  await beat(plane, runner, { ...first, sequence: 1, sandboxes: [running(id, { expiresAtMs: 110_000 })] });
  expect(await rowOf(id)).toMatchObject({ expires_at_ms: 100_000 });
  await beat(plane, runner, { ...first, sequence: 2, sandboxes: [running(id, { expiresAtMs: 200_000 })] });
  expect(await rowOf(id)).toMatchObject({ expires_at_ms: 200_000 });
});

test('a pause that the runner tells below the record’s revision is believed once it has been told after the last verb’s end', async () => {
  const { runner, first } = await onlyRunner();
  // A verb was put on record that never reached the runner: one revision up, and closed.
  const id = await insertSandbox(runner.runnerId, { revision: 2 });
  const told = async (sequence: number, more: Partial<Heartbeat> = {}) => {
    await beat(plane, runner, { ...first, sequence, sandboxes: [running(id, { state: 'paused' })], ...more });
    return (await rowOf(id))?.['state'];
  };
  expect(await told(1, { answered: 0 })).toBe('running');
  // Its runner had no answer to the last one: this report may have been made before the row was read.
  expect(await told(2, { answered: 0 })).toBe('running');
  // A repeat reads the row anew, when the next report may have been made.
  expect(await told(2, { answered: 0 })).toBe('running');
  expect(await told(3, { answered: 2 })).toBe('running');
  await plane.sql('UPDATE sandboxes SET revision = 3 WHERE id = ?', id);
  expect(await told(4, { answered: 3 })).toBe('running');
  expect(await told(5, { answered: 4 })).toBe('paused');
});

test('a deadline of before the last verb leaves what that has set', async () => {
  const { runner, first } = await onlyRunner();
  const id = await insertSandbox(runner.runnerId, { revision: 2, expires_at_ms: 100_000 });
  const told = async (sequence: number, more: object) => {
    await beat(plane, runner, { ...first, sequence, sandboxes: [running(id, { expiresAtMs: 200_000, ...more })] });
    return (await rowOf(id))?.['expires_at_ms'];
  };
  expect(await told(1, {})).toBe(100_000);
  expect(await told(2, { revision: 2, changing: true })).toBe(100_000);
  expect(await told(3, { revision: 2 })).toBe(200_000);
});

test('history is written once a beat, for the runner’s own sandboxes only, 1,000 records at most', async () => {
  const { runner, first } = await onlyRunner();
  const [own, foreign] = [await insertSandbox(runner.runnerId), await insertSandbox(hex(8))];
  const record = {
    processId: hex(16),
    command: 'true',
    startedAtMs: 1,
    durationMs: 1,
    exitCode: 0,
    signal: null,
    reason: 'exited',
  };
  const records = Array.from({ length: 200 }, () => record);
  const history = [own, foreign].map((sandboxId) => ({ sandboxId, records }));
  for (const sequence of [1, 1, 2, 3, 4, 5, 6, 7])
    await beat(plane, runner, { ...first, sequence, sandboxes: [running(own)], history });
  const kept = await plane.sql('SELECT sandbox_id, sum(count) AS count FROM exec_history GROUP BY sandbox_id');
  expect(kept).toEqual([{ sandbox_id: own, count: 1000 }]);
});

test('a create past its deadline ends as failed; a pause that the runner shows is settled', async () => {
  const { runner, first } = await onlyRunner();
  const create = await insertSandbox(runner.runnerId, {
    state: 'creating',
    open_job: 'create',
    open_job_deadline_ms: 1,
  });
  const pause = await insertSandbox(runner.runnerId, { open_job: 'pause', open_job_deadline_ms: 1 });
  await beat(plane, runner, { ...first, sequence: 1, sandboxes: [running(pause, { state: 'paused' })] });
  await waitFor(
    'the sweep',
    async () => (await rowOf(create))?.['state'] === 'ended' && (await rowOf(pause))?.['state'] === 'paused',
    15_000,
    200,
  );
  expect(await rowOf(create)).toMatchObject({ end_reason: 'failed' });
  expect(await rowOf(pause)).toMatchObject({ open_job: null });
});

test('a runner that leaves is expected no more: its sandboxes end, its Redis user is gone, and it may come back as who it was', async () => {
  const { runner } = await onlyRunner();
  const id = await insertSandbox(runner.runnerId);
  const leave = () =>
    fetch(`${plane.url}/internal/runners/${runner.runnerId}/leave`, {
      method: 'POST',
      headers: { authorization: `Bearer ${runner.secret}` },
    });
  expect((await leave()).status).toBe(200);
  expect(await rowOf(id)).toMatchObject({ state: 'ended', end_reason: 'evicted' });
  expect(await redis.client().acl('USERS')).not.toContain(redisUserName(runner.runnerId));
  expect((await leave()).status).toBe(401);
  const again = await join(plane, { previous: { runnerId: runner.runnerId, secret: runner.secret } });
  expect(again.status).toBe(200);
  expect(await again.json()).toMatchObject({ runnerId: runner.runnerId });
});
