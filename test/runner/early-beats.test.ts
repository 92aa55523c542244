import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { startHarness, type Harness } from './support/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

test('what ends by itself is reported within a second, not with the next regular beat', async () => {
  const { plane } = harness;
  const ttlsMs = [1_200, 2_400, 3_600];
  const ids = [];
  for (const ttlMs of ttlsMs) ids.push((await harness.create({ ttlMs })).sandboxId);
  const reported = (id: string) =>
    plane.beats.some(({ sandboxes }) => sandboxes.some((one) => one.sandboxId === id && one.state === 'ended'));
  const ended = (id: string) => harness.logs.some((line) => line.includes('sandbox_ended') && line.includes(id));
  for (const id of ids) {
    await waitFor('its end', () => ended(id), 5_000);
    await waitFor('the report of it', () => reported(id), 3_000);
  }
  expect(ids.every(reported)).toBe(true);
});

test('each beat tells the last one that was answered before it was made', async () => {
  const { plane } = harness;
  await waitFor('a second beat', () => plane.beats.length > 1, 12_000);
  for (const [index, { answered }] of plane.beats.entries()) {
    expect(answered).toBe(plane.beats[index - 1]?.sequence);
  }
});
