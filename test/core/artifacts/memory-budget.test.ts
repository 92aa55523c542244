import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MemoryBudget, type Holder } from '../../../worker/core/artifacts/memory-budget.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

let tenants = 0;
/** A new one each time, unless it is passed on. */
const tenant = (): Holder => {
  tenants += 1;
  return { actor: { tenant: { id: `tenant ${tenants}` } }, after: () => undefined };
};

/** Holds until `release` is called. */
const holder = (budget: MemoryBudget, bytes: number, by = tenant()) => {
  let release = (): void => undefined;
  const until = new Promise<void>((resolve) => {
    release = resolve;
  });
  let touch: (() => void) | undefined;
  const done = budget.hold(by, bytes, (given) => {
    touch = given;
    return until;
  });
  return { release, done, holds: () => touch !== undefined, touch: () => touch?.() };
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
  await expect(budget.hold(tenant(), 100, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await budget.hold(tenant(), 100, async () => 'held')).toBe('held');
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
  const refused = budget.hold(tenant(), 90, async () => 'never').catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(5_000);
  const behind = holder(budget, 30);
  await settle();
  expect(behind.holds()).toBe(false);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await refused).toMatchObject({ code: 'unavailable', retryAfterSeconds: 2 });
  expect(behind.holds()).toBe(true);
  first.release();
  behind.release();
  expect(await budget.hold(tenant(), 100, async () => 'all is back')).toBe('all is back');
});

test('no more than 256 wait', async () => {
  const budget = new MemoryBudget(1);
  const first = holder(budget, 1);
  const waiting = Array.from({ length: 256 }, () => holder(budget, 1));
  await expect(budget.hold(tenant(), 1, async () => undefined)).rejects.toMatchObject({ code: 'unavailable' });
  for (const { release } of [first, ...waiting]) release();
  await Promise.all(waiting.map(({ done }) => done));
});

test('a tenant holds half, so that another is served beside it; its own wait in their order', async () => {
  const budget = new MemoryBudget(100);
  const greedy = tenant();
  const first = holder(budget, 40, greedy);
  const second = holder(budget, 40, greedy);
  const third = holder(budget, 5, greedy);
  const other = holder(budget, 40);
  await settle();
  expect([first, second, third, other].map(({ holds }) => holds())).toEqual([true, false, false, true]);
  first.release();
  await settle();
  expect([second, third].map(({ holds }) => holds())).toEqual([true, true]);
  for (const { release } of [second, third, other]) release();
});

test('a tenant has at most 64 that wait, so that others can', async () => {
  const budget = new MemoryBudget(2);
  const greedy = tenant();
  const waiting = Array.from({ length: 65 }, () => holder(budget, 1, greedy));
  await expect(budget.hold(greedy, 1, async () => undefined)).rejects.toMatchObject({ code: 'unavailable' });
  expect(await budget.hold(tenant(), 1, async () => 'served')).toBe('served');
  for (const { release } of waiting) release();
  await Promise.all(waiting.map(({ done }) => done));
});

test('what a request held that the runtime has ended without a word is taken back, and is not given back twice', async () => {
  const budget = new MemoryBudget(100);
  const abandoned = holder(budget, 100);
  const steady = holder(budget, 0);
  await vi.advanceTimersByTimeAsync(119_000);
  steady.touch();
  await vi.advanceTimersByTimeAsync(2_000);
  const next = holder(budget, 100);
  await settle();
  expect(next.holds()).toBe(true);
  expect(abandoned.touch).toThrow('Too much content');
  expect(steady.touch).not.toThrow();
  abandoned.release();
  await settle();
  const after = holder(budget, 100);
  await settle();
  expect(after.holds()).toBe(false);
  for (const { release } of [next, steady, after]) release();
  await after.done;
});

test('a timer that another request could not clear takes nobody out of the queue', async () => {
  const clear = vi.spyOn(globalThis, 'clearTimeout').mockImplementation(() => undefined);
  const budget = new MemoryBudget(100);
  const first = holder(budget, 100);
  const second = holder(budget, 100);
  await vi.advanceTimersByTimeAsync(9_000);
  first.release();
  await settle();
  const third = holder(budget, 100);
  await vi.advanceTimersByTimeAsync(2_000);
  second.release();
  await settle();
  expect(third.holds()).toBe(true);
  third.release();
  await third.done;
  clear.mockRestore();
});
