import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { UsageSample } from '../../runner/protocol/usage.ts';
import type { Sandbox } from '../../runner/sandboxes/sandbox.ts';
import { UsageRing } from '../../runner/sandboxes/usage-ring.ts';
import { UsageSampler } from '../../runner/sandboxes/usage-sampler.ts';
import { waitFor } from '../wait-for.ts';

const sampleAt = (atMs: number): UsageSample => ({
  atMs,
  cpus: 2,
  cpuUsedPercent: atMs % 101,
  memoryLimitBytes: 512 * 1024 * 1024,
  memoryUsedBytes: atMs,
  memoryCacheBytes: 3,
  diskLimitBytes: 10 * 1024 ** 3,
  diskUsedBytes: 2 ** 40,
});

test('a ring gives the latest samples of a range, oldest first, whatever was pushed over it, within its bytes', () => {
  const input = fc.record({
    max: fc.integer({ min: 32, max: 100 }),
    pushed: fc.nat({ max: 400 }),
    startMs: fc.nat({ max: 400 }),
    endMs: fc.nat({ max: 400 }),
    limit: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(input, ({ max, pushed, startMs, endMs, limit }) => {
      const ring = new UsageRing(max);
      const all = Array.from({ length: pushed }, (_, at) => sampleAt(at));
      for (const sample of all) ring.push(sample);
      const kept = all.slice(-max).filter(({ atMs }) => atMs >= startMs && atMs <= endMs);
      expect(ring.read({ startMs, endMs, limit })).toEqual(kept.slice(-limit));
      expect(ring.bytes).toBeLessThanOrEqual(max * 64);
    }),
  );
});

test('running sandboxes are sampled a second after their start, paused ones are not, and one that fails holds nobody up', async () => {
  const box = (id: string, state: string) =>
    ({ id, state, cpus: 2, memoryMiB: 512, home: { containerId: id } }) as Partial<Sandbox> as Sandbox;
  const [running, paused, broken] = [box('running', 'running'), box('paused', 'paused'), box('broken', 'running')];
  let cpuSeconds = 0;
  const asked = new Set<string>();
  const sampler = new UsageSampler({
    sandboxes: { all: () => [broken, paused, running] },
    engine: {
      sample: async (containerId) => {
        asked.add(containerId);
        if (containerId === 'broken') throw new Error('its files are gone');
        cpuSeconds += 100; // as if all of it had been used
        return { cpuSeconds, memoryUsedBytes: 5, memoryCacheBytes: 2, diskLimitBytes: 7, diskUsedBytes: 6 };
      },
    },
  });
  const read = (of: Sandbox) => sampler.read(of, { startMs: 0, endMs: Infinity, limit: 10 });
  sampler.start();
  await waitFor('the first sample', () => read(running).length > 0, 5_000);
  await sampler.stop();
  expect(read(running)).toMatchObject([{ cpus: 2, cpuUsedPercent: 100, memoryLimitBytes: 2 ** 29, diskUsedBytes: 6 }]);
  expect(read(paused)).toEqual([]);
  expect(read(broken)).toEqual([]);
  expect(asked).toEqual(new Set(['broken', 'running']));
});
