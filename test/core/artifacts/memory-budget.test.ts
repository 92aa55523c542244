import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MemoryBudget } from '../../../worker/core/artifacts/memory-budget.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Holds until `release` is called. */
const holder = (budget: MemoryBudget, bytes: number) => {
  let release = (): void => undefined;
  const until = new Promise<void>((resolve) => {
    release = resolve;
  });
  let holds = false;
  const done = budget.hold(bytes, () => {
    holds = true;
    return until;
  });
  return { release, done, holds: () => holds };
};
const settle = () => vi.advanceTimersByTimeAsync(0);

test('holds what fits, and admits the others in the order of asking, a small one not before a large one', async () => {
  const budget = new MemoryBudget(100);
  const first = holder(budget, 60);
  const second = holder(budget, 60);
  const small = holder(budget, 10);
  await settle();
  expect([first.holds(), second.holds(), small.holds()]).toEqual([true, false, false]);
  first.release();
  await settle();
  expect([second.holds(), small.holds()]).toEqual([true, true]);
  second.release();
  small.release();
  await Promise.all([first.done, second.done, small.done]);
});

test('gives back what failing work held', async () => {
  const budget = new MemoryBudget(100);
  await expect(budget.hold(100, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await budget.hold(100, async () => 'held')).toBe('held');
});

test('more than the whole budget is held alone', async () => {
  const budget = new MemoryBudget(100);
  const large = holder(budget, 1000);
  const other = holder(budget, 1);
  await settle();
  expect([large.holds(), other.holds()]).toEqual([true, false]);
  large.release();
  await settle();
  expect(other.holds()).toBe(true);
});

test('who waits too long is refused with a time to try again, and does not hold those behind it up', async () => {
  const budget = new MemoryBudget(100);
  const first = holder(budget, 60);
  const refused = budget.hold(90, async () => 'never').catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(5_000);
  const behind = holder(budget, 30);
  await settle();
  expect(behind.holds()).toBe(false);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await refused).toMatchObject({ code: 'unavailable', retryAfterSeconds: 2 });
  expect(behind.holds()).toBe(true);
  first.release();
  behind.release();
  expect(await budget.hold(100, async () => 'all is back')).toBe('all is back');
});

test('no more than 256 wait', async () => {
  const budget = new MemoryBudget(1);
  const first = holder(budget, 1);
  const waiting = Array.from({ length: 256 }, () => holder(budget, 1));
  await expect(budget.hold(1, async () => undefined)).rejects.toMatchObject({ code: 'unavailable' });
  for (const { release } of [first, ...waiting]) release();
  await Promise.all(waiting.map(({ done }) => done));
});
