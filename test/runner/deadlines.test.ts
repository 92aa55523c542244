import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { restoreDeadline } from '../../runner/adoption.ts';
import {
  beginDeadline,
  changeDeadline,
  pauseDeadline,
  resumeDeadline,
  touchDeadline,
  type Deadline,
} from '../../runner/sandboxes/deadline.ts';
import { ACTIVITY_LAG_MS } from '../../runner/sandboxes/table.ts';

const mode = fc.constantFrom<Deadline['mode']>('fixed', 'idle');
const ttl = fc.integer({ min: 1_000, max: 86_400_000 });
const moment = fc.integer({ min: 0, max: 1_000_000_000 });
const begun = fc
  .record({ deadlineMode: mode, ttlMs: ttl, pausedTtlMs: ttl, atMs: moment })
  .map(({ atMs, ...terms }) => ({ deadline: beginDeadline(terms, atMs), atMs }));

test('activity never shortens, and moves only a running idle-mode deadline', () => {
  fc.assert(
    fc.property(begun, fc.nat(100_000), ({ deadline, atMs }, laterMs) => {
      const touched = touchDeadline(deadline, atMs + laterMs);
      expect(touched.expiresAtMs).toBeGreaterThanOrEqual(deadline.expiresAtMs);
      expect(touched.expiresAtMs).toBe(
        deadline.mode === 'fixed' ? deadline.expiresAtMs : atMs + laterMs + deadline.ttlMs,
      );
      const paused = pauseDeadline(deadline, atMs);
      expect(touchDeadline(paused, atMs + laterMs)).toBe(paused);
    }),
  );
});

test('onlyExtend never shortens; without it the deadline is exactly what was asked', () => {
  fc.assert(
    fc.property(begun, ttl, fc.nat(100_000), ({ deadline, atMs }, ttlMs, laterMs) => {
      const nowMs = atMs + laterMs;
      const extended = changeDeadline(deadline, { ttlMs, onlyExtend: true }, nowMs);
      expect(extended.expiresAtMs).toBe(Math.max(deadline.expiresAtMs, nowMs + ttlMs));
      expect(changeDeadline(deadline, { ttlMs, onlyExtend: false }, nowMs).expiresAtMs).toBe(nowMs + ttlMs);
    }),
  );
});

test('time spent paused counts for no deadline but the pause’s own', () => {
  fc.assert(
    fc.property(begun, fc.nat(100_000), ttl, ({ deadline, atMs }, pausedForMs, ttlMs) => {
      const paused = pauseDeadline(deadline, atMs);
      expect(paused.expiresAtMs).toBe(atMs + deadline.pausedTtlMs);
      expect(pauseDeadline(paused, atMs + pausedForMs)).toBe(paused);
      expect(changeDeadline(paused, { ttlMs, onlyExtend: false }, atMs + pausedForMs).expiresAtMs).toBe(
        paused.expiresAtMs,
      );
      const nowMs = atMs + pausedForMs;
      expect(resumeDeadline(paused, ttlMs, nowMs)).toMatchObject({ paused: false, expiresAtMs: nowMs + ttlMs });
    }),
  );
});

test('a new life keeps the journaled moment, up to the journal’s lag, and trusts no process from before a reboot', () => {
  fc.assert(
    fc.property(begun, moment, fc.boolean(), fc.boolean(), ({ deadline }, nowMs, rebooted, stopped) => {
      const row = {
        deadlineMode: deadline.mode,
        ttlMs: deadline.ttlMs,
        pausedTtlMs: deadline.pausedTtlMs,
        state: stopped ? ('paused' as const) : ('running' as const),
        rest: stopped ? ('stopped' as const) : null,
        onTimeout: 'kill' as const,
        keepMemory: true,
        expiresAtWallMs: Date.now() + 30_000,
        expiresAtMonotonicMs: deadline.expiresAtMs,
        kernelBoot: rebooted ? 'earlier' : 'this',
      };
      const rest = {
        sandboxId: '',
        tenantId: '',
        epoch: 1,
        revision: 1,
        containerId: '',
        slot: '',
        cpus: 1,
        memoryMiB: 1,
        egress: { allow: [], deny: [] },
      };
      const ends = { endReason: null, endedAtMs: null, recorded: false };
      const restored = restoreDeadline({ ...rest, ...ends, ...row }, 'this', nowMs);
      const lagMs = deadline.mode === 'idle' && !stopped ? ACTIVITY_LAG_MS : 0;
      // After a boot no process lives; files in a stopped container do, for no longer than was promised.
      const most = rebooted
        ? nowMs + (stopped ? Math.min(30_000, deadline.pausedTtlMs) : 0)
        : deadline.expiresAtMs + lagMs;
      expect(restored.expiresAtMs).toBeLessThanOrEqual(most);
      expect(restored.expiresAtMs).toBeGreaterThanOrEqual(rebooted && stopped ? nowMs : most);
    }),
  );
});
