import { expect, test } from 'vitest';
import { ServiceError } from '../../worker/core/errors.ts';
import { connectSandbox } from '../../worker/core/sandboxes/connect-sandbox.ts';
import { countSandboxes } from '../../worker/core/sandboxes/count-sandboxes.ts';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { endSandbox, killSandbox } from '../../worker/core/sandboxes/end-sandbox.ts';
import { ensurePaused } from '../../worker/core/sandboxes/ensure-paused.ts';
import { extendDeadline } from '../../worker/core/sandboxes/extend-deadline.ts';
import { getSandbox } from '../../worker/core/sandboxes/get-sandbox.ts';
import { listSandboxes } from '../../worker/core/sandboxes/list-sandboxes.ts';
import { pauseSandbox } from '../../worker/core/sandboxes/pause-sandbox.ts';
import { whileConflict } from '../../worker/core/sandboxes/while-conflict.ts';
import { setDeadline } from '../../worker/core/sandboxes/set-deadline.ts';
import { waitFor } from '../wait-for.ts';
import { createInput, scriptedCell, type Delivery } from './support/scripted-cell.ts';

/** A runner that keeps one sandbox's deadline as the real one does. */
const timekeeper = () => {
  let expiresAtMs = 0;
  return ({ ttlMs = 60_000, onlyExtend = false }: Delivery): number => {
    const asked = Date.now() + ttlMs;
    expiresAtMs = onlyExtend ? Math.max(expiresAtMs, asked) : asked;
    return expiresAtMs;
  };
};

const running = async (script: Parameters<typeof scriptedCell>[0] = {}) => {
  const cell = scriptedCell({ expiresAtMs: timekeeper(), ...script });
  const { sandbox } = await createSandbox(cell.context, createInput);
  return { ...cell, id: sandbox.id };
};

const namesOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ name }) => name);

test('connecting never shortens, and asks no runner where the deadline on record suffices', async () => {
  const { context, id, deliveries } = await running();
  const before = await getSandbox(context, id);
  const { sandbox, resumed } = await connectSandbox(context, id, 5);
  expect({ resumed, expiresAtMs: sandbox.expiresAtMs }).toEqual({ resumed: false, expiresAtMs: before.expiresAtMs });
  expect(namesOf(deliveries)).toEqual(['sandbox.create']);
});

test('connecting extends, and what a later resume without a timeout gets follows', async () => {
  const { context, id } = await running();
  const { sandbox } = await connectSandbox(context, id, 600);
  expect(sandbox.expiresAtMs).toBeGreaterThan(Date.now() + 599_000);
  expect(sandbox).toMatchObject({ ttlMs: 600_000, openJob: null });
});

test('connecting to a paused sandbox resumes it for just so long', async () => {
  const { context, id } = await running();
  await pauseSandbox(context, id, true);
  await expect(connectSandbox(context, id, 0)).rejects.toMatchObject({ code: 'invalid_argument' });
  const { sandbox, resumed } = await connectSandbox(context, id, 7);
  expect(resumed).toBe(true);
  expect(sandbox).toMatchObject({ state: 'running', ttlMs: 7_000 });
});

test('connecting waits for a pause that is under way, then resumes', async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { context, id } = await running({
    runner: ({ name }) => (name === 'sandbox.pause' ? gate : undefined),
  });
  const pausing = pauseSandbox(context, id, true);
  const connecting = connectSandbox(context, id, 30);
  release();
  await pausing;
  expect(await connecting).toMatchObject({ resumed: true, sandbox: { state: 'running' } });
});

test('a deadline that comes after the runner has paused it at its timeout finds it paused on record, and connecting resumes it', async () => {
  const paused = { state: 'paused', memoryKept: true, memoryFreed: false } as const;
  const { context, id } = await running({
    outcome: ({ name }) => (name === 'sandbox.deadline' ? paused : {}),
    expiresAtMs: () => Date.now() + 1_000,
  });
  await expect(setDeadline(context, id, 30)).rejects.toMatchObject({ code: 'sandbox_not_running' });
  expect(await getSandbox(context, id)).toMatchObject({ state: 'paused', openJob: null, memoryKept: true });

  const other = await running({
    outcome: ({ name }) => (name === 'sandbox.deadline' ? paused : {}),
    expiresAtMs: () => Date.now() + 1_000,
  });
  const { sandbox, resumed } = await connectSandbox(other.context, other.id, 30);
  expect(resumed).toBe(true);
  expect(sandbox).toMatchObject({ state: 'running', memoryKept: null });
});

test('two that connect to a paused sandbox both get it running, resumed once', async () => {
  const { context, id, deliveries } = await running();
  await pauseSandbox(context, id, true);
  const both = await Promise.all([connectSandbox(context, id, 30), connectSandbox(context, id, 30)]);
  expect(both.map(({ sandbox }) => sandbox.state)).toEqual(['running', 'running']);
  expect(both.filter(({ resumed }) => resumed)).toHaveLength(1);
  expect(namesOf(deliveries).filter((name) => name === 'sandbox.resume')).toHaveLength(1);
});

test('whoever connects to an ended sandbox is told so', async () => {
  const { context, id } = await running();
  await endSandbox(context, id, 0);
  await expect(connectSandbox(context, id, 30)).rejects.toMatchObject({ code: 'sandbox_ended' });
});

test('an extension that a shorter one overtook on its way is sent again', async () => {
  let refusals = 1;
  const { context, id, deliveries } = await running({
    runner: ({ name }) => {
      if (name === 'sandbox.deadline' && refusals-- > 0) throw new ServiceError('conflict', 'Overtaken.');
    },
  });
  expect((await extendDeadline(context, id, 900)).expiresAtMs).toBeGreaterThan(Date.now() + 899_000);
  expect(namesOf(deliveries).filter((name) => name === 'sandbox.deadline')).toHaveLength(2);
});

test('an extension that is overtaken again and again gives up and says so', async () => {
  const { context, id } = await running({
    runner: ({ name }) => {
      if (name === 'sandbox.deadline') throw new ServiceError('conflict', 'Overtaken.');
    },
  });
  await expect(extendDeadline(context, id, 900)).rejects.toMatchObject({ code: 'conflict' });
});

test('a timeout that a keep-alive overtook on its way is set again, not told as done; overtaken again and again it says so', async () => {
  let overtakings = 1;
  const cell = await running({
    runner: async ({ name, onlyExtend }) => {
      if (name !== 'sandbox.deadline' || onlyExtend === true || overtakings-- <= 0) return;
      await extendDeadline(cell.context, cell.id, 900);
      throw new ServiceError('conflict', 'Overtaken.');
    },
  });
  const { context, id, deliveries } = cell;
  const shortened = await setDeadline(context, id, 5);
  expect(shortened).toMatchObject({ state: 'running', openJob: null, ttlMs: 5_000 });
  expect(shortened.expiresAtMs).toBeLessThan(Date.now() + 6_000);
  expect(deliveries.filter(({ onlyExtend }) => onlyExtend === false)).toHaveLength(2);
  overtakings = Number.POSITIVE_INFINITY;
  await expect(setDeadline(context, id, 5)).rejects.toMatchObject({ code: 'conflict' });
});

test('many keep-alives at once all leave the longest of them', async () => {
  const { context, id } = await running();
  const seconds = [100, 700, 300, 500];
  await Promise.all(seconds.map((ttl) => extendDeadline(context, id, ttl)));
  expect((await getSandbox(context, id)).expiresAtMs).toBeGreaterThan(Date.now() + 699_000);
});

test('a pause beside a keep-alive waits for it; beside another pause it is told that one was before it', async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { context, id, deliveries } = await running({
    runner: ({ name }) => (name === 'sandbox.deadline' ? gate : undefined),
  });
  const extending = extendDeadline(context, id, 900);
  await waitFor('the keep-alive to be on its way', () => namesOf(deliveries).includes('sandbox.deadline'), 2_000);
  const pausing = ensurePaused(context, id, true);
  release();
  expect(await extending).toMatchObject({ state: 'running' });
  expect(await pausing).toBe('paused');
  expect(await ensurePaused(context, id, true)).toBe('already');
  await endSandbox(context, id, 0);
  await expect(ensurePaused(context, id, true)).rejects.toMatchObject({ code: 'sandbox_ended' });
});

test('a change that another holds up for half a minute is told to come again, and never as a conflict', async () => {
  const { context } = await running();
  let nowMs = context.now();
  const held = new ServiceError('conflict', 'A snapshot of the sandbox is being taken.');
  const attempt = () => {
    nowMs += 29_000;
    return Promise.reject(held);
  };
  const wait = whileConflict({ ...context, now: () => nowMs }, attempt);
  await expect(wait).rejects.toMatchObject({ code: 'unavailable', retryAfterSeconds: 5, cause: held });
});

test('a kill of what has ended already is refused, an end of it is not', async () => {
  const { context, id } = await running();
  expect(await killSandbox(context, id, 0)).toMatchObject({ state: 'ended', endReason: 'killed' });
  await expect(killSandbox(context, id, 0)).rejects.toMatchObject({ code: 'sandbox_ended' });
  expect(await endSandbox(context, id, 0)).toMatchObject({ state: 'ended' });
});

test('a timeout of 0 ends a sandbox as timed out, or pauses the one that is to be paused', async () => {
  const { context, id } = await running();
  expect(await setDeadline(context, id, 0)).toMatchObject({ state: 'ended', endReason: 'timeout' });
  const { sandbox } = await createSandbox(context, { ...createInput, onTimeout: 'pause' });
  expect(await setDeadline(context, sandbox.id, 0)).toMatchObject({ state: 'paused' });
  await expect(setDeadline(context, sandbox.id, 0)).rejects.toMatchObject({ code: 'sandbox_not_running' });
});

test('a list by start goes on from its cursor, keeps out what does not match, and is counted whole', async () => {
  const { context } = scriptedCell();
  const ids: string[] = [];
  for (const kind of ['a', 'b', 'a', 'a']) {
    const { sandbox } = await createSandbox(context, { ...createInput, metadata: { kind } });
    ids.push(sandbox.id);
  }
  const filter = { states: ['running' as const], metadata: [['kind', 'a'] as const], template: 'base' };
  const page = { by: 'started' as const, order: 'asc' as const, limit: 2 };
  const first = await listSandboxes(context, { ...filter, ...page, cursor: undefined });
  const second = await listSandboxes(context, { ...filter, ...page, cursor: first.nextCursor ?? '' });
  const listed = [...first.sandboxes, ...second.sandboxes].map(({ id }) => id);
  expect(new Set(listed)).toEqual(new Set([ids[0], ids[2], ids[3]]));
  expect(listed).toHaveLength(3);
  expect(second.nextCursor).toBeNull();
  expect(await countSandboxes(context, filter)).toBe(3);
  expect(await countSandboxes(context, { ...filter, template: 'other' })).toBe(0);
  const startedAfterMs = first.sandboxes[0]?.startedAtMs ?? 0;
  expect(await countSandboxes(context, { ...filter, startedAfterMs })).toBe(3);
  expect(await countSandboxes(context, { ...filter, startedAfterMs: Date.now() + 1 })).toBe(0);
});
