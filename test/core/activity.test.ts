import { expect, test } from 'vitest';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../../worker/core/sandboxes/end-sandbox.ts';
import { getActivity } from '../../worker/core/tenants/get-activity.ts';
import { createInput, scriptedCell } from './support/scripted-cell.ts';

const minute = 60_000;

test('activity counts what ran at each step’s end, what began in it, and what there was before', async () => {
  const { context, id, at } = await world();
  const start = context.now();
  await createSandbox(at(start + 2 * minute), createInput);
  await endSandbox(at(start + 5 * minute), id, 0);
  const range = { startMs: start + minute, endMs: start + 10 * minute };
  const { stepMs, steps } = await getActivity(at(start + 20 * minute), range);
  expect([stepMs, steps.length]).toEqual([5_000, 108]);
  expect(steps.at(-1)?.atMs).toBe(range.endMs);
  expect(new Set(steps.slice(0, 12).map(({ concurrent }) => concurrent))).toEqual(new Set([1]));
  expect(steps.map(({ concurrent }) => concurrent).reduce((a, b) => Math.max(a, b))).toBe(2);
  expect(steps.at(-1)?.concurrent).toBe(1);
  expect(steps.reduce((sum, { started }) => sum + started, 0)).toBe(1);
  const stranger = { ...context.actor, tenant: { ...context.actor.tenant, id: 'ten_other' } };
  const theirs = await getActivity({ ...context, actor: stranger }, range);
  expect(theirs.steps.every(({ concurrent, started }) => concurrent === 0 && started === 0)).toBe(true);
});

test('a range that is none, or too long, is refused', async () => {
  const { context } = scriptedCell();
  await expect(getActivity(context, { startMs: 5, endMs: 5 })).rejects.toMatchObject({ code: 'invalid_argument' });
  const days = 32 * 86_400_000;
  await expect(getActivity(context, { startMs: 0, endMs: days })).rejects.toMatchObject({ code: 'invalid_argument' });
});

const world = async () => {
  const cell = scriptedCell();
  const { sandbox } = await createSandbox(cell.context, createInput);
  return { ...cell, id: sandbox.id, at: (atMs: number) => ({ ...cell.context, now: () => atMs }) };
};
