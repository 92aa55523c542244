import { expect, test } from 'vitest';
import { Admission } from '../../worker/durable/fleet/admission.ts';

const enterMany = (admission: Admission, count: number, runners = 1) => {
  const entered: number[] = [];
  const all = Array.from({ length: count }, async (_, index) => {
    await admission.enter(String(index), runners, Date.now());
    entered.push(index);
  });
  return { entered, all: Promise.all(all) };
};
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('eight creates a runner are under way at once, and the next enters when one is over', async () => {
  const admission = new Admission();
  const { entered } = enterMany(admission, 11);
  await turn();
  expect(entered).toHaveLength(8);
  admission.leave('3');
  admission.leave('3');
  await turn();
  expect(entered.slice(8)).toEqual([8]);
});

test('a second runner makes room for as many again', async () => {
  const { entered } = enterMany(new Admission(), 30, 2);
  await turn();
  expect(entered).toHaveLength(16);
});

test('creates that never say that they are over hold the others up for a second, no longer', async () => {
  const admission = new Admission();
  const startedAt = performance.now();
  const { entered, all } = enterMany(admission, 10);
  await all;
  expect(performance.now() - startedAt).toBeLessThan(1_900);
  expect(entered.slice(8)).toEqual([8, 9]);
});

test('one that is under way is placed anew without waiting', async () => {
  const admission = new Admission();
  await enterMany(admission, 8).all;
  await expect(admission.enter('5', 1, Date.now())).resolves.toBeUndefined();
});
