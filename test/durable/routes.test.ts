import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { eq } from 'drizzle-orm';
import { sandboxes } from '../../db/cell.ts';
import type { Route } from '../../worker/core/ports.ts';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { pauseSandbox } from '../../worker/core/sandboxes/pause-sandbox.ts';
import { resumeSandbox } from '../../worker/core/sandboxes/resume-sandbox.ts';
import { Routes } from '../../worker/durable/broker/routes.ts';
import { createInput, scriptedCell } from '../core/support/scripted-cell.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());

/** A sandbox that was paused, as this shard has heard; what its routes read of the record is counted. */
const paused = async () => {
  const { context } = scriptedCell();
  const { sandbox } = await createSandbox(context, createInput);
  await pauseSandbox(context, sandbox.id, true);
  const routes = new Routes(context.cell);
  const row = async (): Promise<Route> => {
    const [found] = await context.cell.select().from(sandboxes).where(eq(sandboxes.id, sandbox.id));
    if (!found) throw new Error('the sandbox is not on record');
    return found;
  };
  routes.set(sandbox.id, await row());
  const reads = vi.spyOn(context.cell, 'select');
  const ref = { tenantId: sandbox.tenantId, sandboxId: sandbox.id, requestId: 'req' };
  const answer = () =>
    routes.resolve(ref).then(
      ({ state }) => state,
      (error: unknown) => (error as { code: string }).code,
    );
  return { context, routes, row, reads, answer, id: sandbox.id };
};
const later = (ms: number) => vi.setSystemTime(Date.now() + ms);

test('a resume that a shard has not heard of is found on record within a second', async () => {
  const { context, answer, id } = await paused();
  await resumeSandbox(context, id, undefined);
  later(1_000);
  expect(await answer()).toBe('running');
});

test('a flood of calls to a paused sandbox reads the record once a second', async () => {
  const { reads, answer } = await paused();
  const flood = async () => new Set(await Promise.all(Array.from({ length: 200 }, answer)));
  for (const [passedMs, readsSoFar] of [
    [0, 0],
    [1_000, 1],
    [500, 1],
    [500, 2],
  ] as const) {
    later(passedMs);
    expect(await flood()).toEqual(new Set(['sandbox_not_running']));
    expect(reads).toHaveBeenCalledTimes(readsSoFar);
  }
});

test('what is announced while the record is read is not replaced by what was read', async () => {
  const { context, routes, row, answer, id } = await paused();
  later(1_000);
  const asked = answer();
  await resumeSandbox(context, id, undefined);
  routes.set(id, await row());
  await asked;
  expect(await answer()).toBe('running');
});
