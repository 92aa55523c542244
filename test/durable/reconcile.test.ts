import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ObservedSandbox } from '../../runner/protocol/node-report.ts';
import {
  judgeMissing,
  judgeOpenJob,
  judgeReports,
  mayDeclareLost,
  type RecordedSandbox,
} from '../../worker/core/reconcile.ts';

const RUNNER = '0123456789abcdef';
const NOW = 1_000_000;
const id = fc.constantFrom('a', 'b', 'c', 'd');
const report: fc.Arbitrary<ObservedSandbox> = fc.record(
  {
    sandboxId: id,
    epoch: fc.integer({ min: 1, max: 3 }),
    revision: fc.integer({ min: 0, max: 5 }),
    state: fc.constantFrom('creating' as const, 'running' as const, 'paused' as const, 'ended' as const),
    expiresAtMs: fc.option(fc.integer({ min: 0, max: 2 * NOW })),
    endReason: fc.constantFrom('timeout' as const, 'oom' as const),
    endedAtMs: fc.integer({ min: 0, max: 2 * NOW }),
    changing: fc.boolean(),
  },
  { requiredKeys: ['sandboxId', 'epoch', 'revision', 'state', 'expiresAtMs'] },
);
const reports = fc.uniqueArray(report, { selector: ({ sandboxId }) => sandboxId });
const row: fc.Arbitrary<RecordedSandbox> = fc.record({
  id,
  tenantId: fc.constant('ten'),
  runnerId: fc.constantFrom(RUNNER, 'fedcba9876543210', null),
  epoch: fc.integer({ min: 1, max: 3 }),
  revision: fc.integer({ min: 0, max: 5 }),
  state: fc.constantFrom('creating' as const, 'running' as const, 'paused' as const, 'ended' as const),
  openJob: fc.constantFrom(
    'create' as const,
    'kill' as const,
    'pause' as const,
    'resume' as const,
    'deadline' as const,
    null,
  ),
  openJobDeadlineMs: fc.option(fc.integer({ min: 0, max: 2 * NOW })),
  expiresAtMs: fc.option(fc.integer({ min: 0, max: 2 * NOW })),
  startedAtMs: fc.option(fc.integer({ min: 0, max: 2 * NOW })),
  memoryMiB: fc.constant(512),
  memoryKept: fc.constantFrom(true, false, null),
  egress: fc.constant({ allow: [], deny: [] }),
  ttlMs: fc.constant(300_000),
  deadlineMode: fc.constantFrom('fixed' as const, 'idle' as const),
});
const rows = fc.uniqueArray(row, { selector: ({ id: rowId }) => rowId });
const byId = (list: RecordedSandbox[]) => new Map(list.map((entry) => [entry.id, entry]));
const none = new Map<string, RecordedSandbox>();
const isCurrent = (entry: RecordedSandbox | undefined, seen: ObservedSandbox) =>
  entry?.runnerId === RUNNER && entry.epoch === seen.epoch && entry.state !== 'ended';

test('only a report of the row’s own runner and epoch ends it, whatever the revision', () => {
  fc.assert(
    fc.property(reports, rows, (seen, list) => {
      const { ended } = judgeReports(RUNNER, seen, byId(list), none, NOW);
      const expected = seen.filter(
        (entry) => entry.state === 'ended' && isCurrent(byId(list).get(entry.sandboxId), entry),
      );
      expect(ended.map(({ row: entry }) => entry.id)).toEqual(expected.map(({ sandboxId }) => sandboxId));
      for (const { endedAtMs } of ended) expect(endedAtMs).toBeLessThanOrEqual(NOW);
    }),
  );
});

test('a live sandbox that the record does not want there is killed, above every revision that the runner has seen', () => {
  fc.assert(
    fc.property(reports, rows, (seen, list) => {
      const { kill } = judgeReports(RUNNER, seen, byId(list), none, NOW);
      for (const entry of seen.filter(({ state }) => state !== 'ended')) {
        const order = kill.find(({ sandboxId, epoch }) => sandboxId === entry.sandboxId && epoch === entry.epoch);
        const wanted = byId(list).get(entry.sandboxId);
        const allowed = isCurrent(wanted, entry)
          ? !order || wanted?.openJob === 'kill'
          : (order?.revision ?? -1) > entry.revision;
        expect(allowed).toBe(true);
      }
    }),
  );
});

test('a pause or a deadline that the runner tells is believed only where no verb is at work, nor has been since the report', () => {
  fc.assert(
    fc.property(reports, rows, rows, (seen, list, before) => {
      const { paused, deadlines } = judgeReports(RUNNER, seen, byId(list), byId(before), NOW);
      const steady = seen.filter((entry) => {
        const known = byId(list).get(entry.sandboxId);
        const earlier = byId(before).get(entry.sandboxId);
        const still = earlier?.epoch === known?.epoch && earlier?.revision === known?.revision && !earlier?.openJob;
        const atRest = isCurrent(known, entry) && known?.openJob === null && entry.changing !== true;
        return atRest && entry.state !== 'ended' && (entry.revision >= known.revision || still);
      });
      const expected = steady.filter(
        ({ sandboxId, state }) => state === 'paused' && byId(list).get(sandboxId)?.state === 'running',
      );
      expect(paused.map(({ row: entry }) => entry.id)).toEqual(expected.map(({ sandboxId }) => sandboxId));
      for (const { row: entry, expiresAtMs } of deadlines) {
        const told = steady.find(({ sandboxId }) => sandboxId === entry.id);
        expect(told?.expiresAtMs).toBe(expiresAtMs);
        expect(paused.map(({ row: { id: pausedId } }) => pausedId)).not.toContain(entry.id);
      }
    }),
  );
});

test('a verb that never reached the runner keeps nothing that it tells later off the record', () => {
  const recorded: RecordedSandbox = {
    id: 'a',
    tenantId: 'ten',
    runnerId: RUNNER,
    epoch: 1,
    revision: 2,
    state: 'running',
    openJob: null,
    openJobDeadlineMs: null,
    expiresAtMs: NOW,
    startedAtMs: 1,
    memoryMiB: 512,
    memoryKept: null,
    egress: { allow: [], deny: [] },
    ttlMs: 300_000,
    deadlineMode: 'fixed',
  };
  const told = { sandboxId: 'a', epoch: 1, revision: 1, state: 'paused' as const, expiresAtMs: 2 * NOW };
  const judged = (earlier: ReadonlyMap<string, RecordedSandbox>, more: Partial<ObservedSandbox> = {}) =>
    judgeReports(RUNNER, [{ ...told, ...more }], byId([recorded]), earlier, NOW);
  expect(judged(none)).toMatchObject({ paused: [], deadlines: [] });
  expect(judged(byId([{ ...recorded, revision: 1 }]))).toMatchObject({ paused: [], deadlines: [] });
  expect(judged(byId([{ ...recorded, openJob: 'deadline' }]))).toMatchObject({ paused: [], deadlines: [] });
  expect(judged(byId([recorded]))).toMatchObject({ paused: [{ row: recorded }], deadlines: [] });
  expect(judged(byId([recorded]), { changing: true })).toMatchObject({ paused: [], deadlines: [] });
  const moved = judged(byId([recorded]), { state: 'running' });
  expect(moved).toMatchObject({ paused: [], deadlines: [{ row: recorded, expiresAtMs: 2 * NOW }] });
  expect(judged(none, { state: 'running' })).toMatchObject({ paused: [], deadlines: [] });
});

test('nothing is both killed and forgotten', () => {
  fc.assert(
    fc.property(reports, rows, (seen, list) => {
      const { kill, recorded } = judgeReports(RUNNER, seen, byId(list), none, NOW);
      for (const { sandboxId } of kill) expect(recorded.map((entry) => entry.sandboxId)).not.toContain(sandboxId);
    }),
  );
});

test('what is reported is never missing, what is missing once is never lost', () => {
  fc.assert(
    fc.property(reports, rows, fc.uniqueArray(id), (seen, list, before) => {
      const { missing, lost } = judgeMissing(list, seen, NOW, new Set(before));
      for (const { id: rowId, epoch } of lost) {
        expect(missing).toContain(rowId);
        expect(before).toContain(rowId);
        expect(seen.some((entry) => entry.sandboxId === rowId && entry.epoch === epoch)).toBe(false);
      }
      expect(judgeMissing(list, seen, NOW, new Set()).lost).toEqual([]);
    }),
  );
});

test('a row younger than the report is not missing', () => {
  fc.assert(
    fc.property(rows, (list) => {
      const { missing } = judgeMissing(list, [], NOW, new Set());
      const young = list.filter((entry) => (entry.startedAtMs ?? NOW) >= NOW);
      expect(young.filter((entry) => missing.has(entry.id))).toEqual([]);
    }),
  );
});

test('a create is never delivered again', () => {
  fc.assert(
    fc.property(row, fc.option(report, { nil: undefined }), (entry, seen) => {
      expect(judgeOpenJob({ ...entry, openJob: 'create' }, seen)).toBe('fail_create');
      expect(judgeOpenJob({ ...entry, openJob: 'kill' }, seen)).toBe('redeliver');
      expect(judgeOpenJob({ ...entry, openJob: 'network' }, seen)).toBe('redeliver');
    }),
  );
});

test('no runner is taken for dead while over half the cell is silent, or within a lease of Fleet’s start', () => {
  fc.assert(
    fc.property(fc.nat(50), fc.nat(50), fc.nat(60_000), (silent, online, listeningForMs) => {
      fc.pre(mayDeclareLost(silent + online, silent, listeningForMs, 15_000));
      expect(silent).toBeLessThanOrEqual(online);
      expect(listeningForMs).toBeGreaterThan(15_000);
    }),
  );
});
