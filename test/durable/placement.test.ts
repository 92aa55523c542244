import fc from 'fast-check';
import { expect, test } from 'vitest';
import { choosePlace, fits, reservationMiB, warmCount, type PlacementNode } from '../../worker/core/placement.ts';

const runnerId = fc.stringMatching(/^[0-9a-f]{16}$/);
const network = fc.constantFrom('on' as const, 'off' as const);
const node: fc.Arbitrary<PlacementNode> = fc.record({
  runnerId,
  available: fc.boolean(),
  networks: fc.uniqueArray(network),
  restoresMemory: fc.boolean(),
  memoryMiB: fc.integer({ min: 256, max: 64_000 }),
  memoryAvailableMiB: fc.integer({ min: 0, max: 64_000 }),
  sandboxLimit: fc.integer({ min: 0, max: 5 }),
  sandboxes: fc.integer({ min: 0, max: 6 }),
  reservedMiB: fc.integer({ min: 0, max: 64_000 }),
  unseenMiB: fc.integer({ min: 0, max: 4_000 }),
  warm: fc.array(fc.record({ template: fc.constantFrom('a', 'b'), network, count: fc.integer({ min: 0, max: 4 }) }), {
    maxLength: 3,
  }),
});
const nodes = fc.uniqueArray(node, { selector: (entry) => entry.runnerId, maxLength: 8 });
const request = fc.record({
  template: fc.constantFrom('a', 'b'),
  network,
  cpus: fc.constant(2),
  memoryMiB: fc.integer({ min: 64, max: 8_192 }),
  exclude: fc.array(runnerId, { maxLength: 2 }),
  prefer: fc.option(runnerId),
  restoresMemory: fc.boolean(),
});
const random = fc
  .infiniteStream(fc.double({ min: 0, max: 0.999_999, noNaN: true }))
  .map((stream) => () => stream.next().value);

test('what is chosen fits; nothing is chosen only where nothing fits', () => {
  fc.assert(
    fc.property(nodes, request, random, (all, wanted, draw) => {
      const chosen = choosePlace(all, wanted, draw);
      const fitting = all.filter((candidate) => fits(candidate, wanted));
      expect(chosen ? fitting.includes(chosen) : fitting.length === 0).toBe(true);
    }),
  );
});

test('a refusing, draining, silent or full runner is never chosen', () => {
  fc.assert(
    fc.property(nodes, request, random, (all, wanted, draw) => {
      const chosen = choosePlace(all, { ...wanted, exclude: all.slice(0, 2).map((entry) => entry.runnerId) }, draw);
      fc.pre(chosen !== undefined);
      if (!chosen) return;
      expect(chosen.available).toBe(true);
      expect(chosen.sandboxes).toBeLessThan(chosen.sandboxLimit);
      expect(all.slice(0, 2)).not.toContain(chosen);
      expect(chosen.networks).toContain(wanted.network);
      expect(chosen.reservedMiB + reservationMiB(wanted.memoryMiB)).toBeLessThanOrEqual(chosen.memoryMiB);
    }),
  );
});

test('what is to go on with its processes goes where they can be brought back, wherever one such runner fits', () => {
  fc.assert(
    fc.property(nodes, request, random, (all, wanted, draw) => {
      const asked = { ...wanted, prefer: null, restoresMemory: true };
      const chosen = choosePlace(all, asked, draw);
      const able = all.some((candidate) => candidate.restoresMemory && fits(candidate, asked));
      expect(chosen?.restoresMemory ?? false).toBe(able);
    }),
  );
});

test('the preferred runner is chosen wherever it fits', () => {
  fc.assert(
    fc.property(nodes, request, random, (all, wanted, draw) => {
      const preferred = all.find((candidate) => fits(candidate, wanted));
      fc.pre(preferred !== undefined);
      const prefer = preferred?.runnerId ?? null;
      expect(choosePlace(all, { ...wanted, prefer }, draw)).toBe(preferred);
    }),
  );
});

test('among at most three fitting runners, one with a warm container is taken before one without', () => {
  fc.assert(
    fc.property(nodes, request, random, (all, wanted, draw) => {
      const fitting = all.filter((candidate) => fits(candidate, wanted)).slice(0, 3);
      const chosen = choosePlace(fitting, { ...wanted, prefer: null, restoresMemory: false }, draw);
      fc.pre(chosen !== undefined);
      expect(chosen && warmCount(chosen, wanted)).toBe(
        Math.max(...fitting.map((candidate) => warmCount(candidate, wanted))),
      );
    }),
  );
});
