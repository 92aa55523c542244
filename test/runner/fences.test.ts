import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fenceLifecycle, type Known, type LifecycleKind } from '../../runner/sandboxes/fence.ts';
import { reconcile } from '../../runner/reconcile.ts';
import type { JournalRow } from '../../runner/journal.ts';

const small = fc.integer({ min: 1, max: 4 });
const kind = fc.constantFrom<LifecycleKind>('create', 'kill', 'change');
const known = fc.record({ epoch: small, revision: small, ended: fc.boolean() });
const job = fc.record({ kind, epoch: small, revision: small });

/** What a runner that believes its verdicts comes to know. */
function apply(state: Known | undefined, next: { kind: LifecycleKind; epoch: number; revision: number }) {
  const verdict = fenceLifecycle(state, next);
  if (verdict !== 'proceed' && verdict !== 'replace' && verdict !== 'repeat') return state;
  if (verdict === 'repeat') return state;
  const { epoch, revision } = next;
  return {
    epoch,
    revision,
    ended: next.kind === 'kill' ? true : next.kind === 'create' ? false : (state?.ended ?? false),
  };
}

/** All states that a runner passes through. */
function states(first: Known | undefined, jobs: Parameters<typeof apply>[1][]): (Known | undefined)[] {
  const passed = [first];
  for (const next of jobs) passed.push(apply(passed.at(-1), next));
  return passed;
}

/** The fences as one number; epoch weighs more than any revision used here. */
const rank = (state: Known | undefined): number => (state ? state.epoch * 100 + state.revision : 0);

test('neither fence ever goes back, whatever arrives in whatever order', () => {
  fc.assert(
    fc.property(fc.array(job, { maxLength: 20 }), (jobs) => {
      const ranks = states(undefined, jobs).map(rank);
      expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
    }),
  );
});

test('a sandbox that was killed does not come back to life in the same epoch', () => {
  fc.assert(
    fc.property(small, small, fc.array(job, { maxLength: 20 }), (epoch, revision, jobs) => {
      const passed = states({ epoch, revision, ended: true }, jobs);
      expect(passed.filter((state) => state?.epoch === epoch && !state.ended)).toEqual([]);
    }),
  );
});

test('a kill of the same placement is never refused unless a later verb has been seen', () => {
  fc.assert(
    fc.property(known, small, (state, revision) => {
      const verdict = fenceLifecycle(state, { kind: 'kill', epoch: state.epoch, revision });
      expect(verdict === 'stale_revision').toBe(revision < state.revision);
    }),
  );
});

test('what a stale route sends changes nothing', () => {
  fc.assert(
    fc.property(known, job, (state, next) => {
      fc.pre(next.epoch < state.epoch);
      expect(fenceLifecycle(state, next)).toBe('sandbox_not_found');
    }),
  );
});

const row = (
  id: number,
  state: JournalRow['state'],
  containerId: string | null,
  rest: JournalRow['rest'] = null,
): JournalRow => ({
  sandboxId: String(id),
  tenantId: 't',
  epoch: 1,
  revision: 1,
  state,
  containerId,
  slot: containerId && `slot-${containerId}`,
  cpus: 1,
  memoryMiB: 64,
  egress: { allow: [], deny: [] },
  expiresAtMonotonicMs: 0,
  kernelBoot: 'boot',
  rest,
  onTimeout: 'kill',
  keepMemory: true,
  expiresAtWallMs: null,
  deadlineMode: 'fixed',
  ttlMs: 1000,
  pausedTtlMs: 1000,
  endReason: null,
  endedAtMs: null,
  recorded: false,
});
const rowState = fc.constantFrom<JournalRow['state']>('creating', 'running', 'paused', 'ended');
const rest = fc.constantFrom<JournalRow['rest']>('frozen', 'stopped', null);
const containerState = fc.constantFrom('running', 'paused', 'exited', 'gone', 'foreign');

test('after a crash every container is either adopted or removed, and every sandbox accounted for once', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(rowState, containerState, rest)), (found) => {
      const rows = found
        .map(([state, , how], index) => row(index, state, String(index), how))
        .filter((_, index) => found[index]?.[1] !== 'foreign');
      const containers = found.flatMap(([, state], index) =>
        state === 'gone'
          ? []
          : [{ id: String(index), slot: '', state: state === 'foreign' ? ('running' as const) : state }],
      );
      const result = reconcile(rows, containers);
      const adopted = result.adopt.map(({ container }) => container.id);
      const touched = [...adopted, ...result.remove.map(({ id }) => id)].sort();
      expect(touched).toEqual(containers.map(({ id }) => id).sort());
      const { adopt, ended, unfinished, tombstones } = result;
      expect(adopt.length + ended.length + unfinished.length + tombstones.length).toBe(rows.length);
      // A container that has ended is adopted only where it was stopped on purpose.
      const dead = result.adopt.filter(({ container }) => container.state === 'exited');
      expect(dead.filter(({ row: adoptedRow }) => adoptedRow.rest !== 'stopped')).toEqual([]);
    }),
  );
});
