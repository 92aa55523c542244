import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EndedProcesses } from '../../runner/agent/inside/ended-processes.ts';

interface Process {
  number: number;
  ring: { heldBytes: number };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ttlMs = 30_000;
const countMax = 5;
const outputBytesMax = 100;

function table() {
  const known = new Map<number, Process>();
  const ended = new EndedProcesses<Process>({
    ttlMs,
    countMax,
    outputBytesMax,
    onForget: ({ number }) => known.delete(number),
    onSwept: () => undefined,
  });
  const end = (number: number, heldBytes: number): void => {
    const process = { number, ring: { heldBytes } };
    known.set(number, process);
    ended.add(process);
  };
  return { known, ended, end };
}

test('one that has ended is there for its time and then gone, also where nothing ends after it', () => {
  const { known, end } = table();
  end(1, 10);
  vi.advanceTimersByTime(20_000);
  end(2, 10);
  vi.advanceTimersByTime(9_900);
  expect([...known.keys()]).toEqual([1, 2]);
  vi.advanceTimersByTime(1_100);
  expect([...known.keys()]).toEqual([2]);
  vi.advanceTimersByTime(ttlMs);
  expect(known.size).toBe(0);
});

test('while the sandbox stands still its time does not pass', () => {
  const { known, end } = table();
  end(1, 10);
  vi.advanceTimersByTime(10_000);
  const frozen = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 3_600_000);
  end(2, 10);
  vi.advanceTimersByTime(19_900);
  expect([...known.keys()]).toEqual([1, 2]);
  frozen.mockRestore();
  vi.advanceTimersByTime(12_000);
  expect(known.size).toBe(0);
});

test('whatever ends when: no more are kept, with no more output and for no longer than the bounds, and the last ones first', () => {
  const script = fc.array(fc.record({ afterMs: fc.nat(12_000), heldBytes: fc.nat(90) }), { maxLength: 30 });
  fc.assert(
    fc.property(script, (ends) => {
      const { known, ended, end } = table();
      let nowMs = 0;
      const endedAtMs: number[] = [];
      for (const [number, { afterMs, heldBytes }] of ends.entries()) {
        vi.advanceTimersByTime(afterMs);
        nowMs += afterMs;
        endedAtMs.push(nowMs);
        end(number, heldBytes);
        const kept = [...known.values()];
        expect(ended.count).toBe(kept.length);
        expect(kept.length).toBeLessThanOrEqual(countMax);
        expect(kept.reduce((sum, { ring }) => sum + ring.heldBytes, 0)).toBeLessThanOrEqual(outputBytesMax);
        // A second is what one sweep may come late.
        for (const process of kept) expect(nowMs - (endedAtMs[process.number] ?? 0)).toBeLessThanOrEqual(ttlMs + 1_000);
        expect(kept.map((process) => process.number)).toEqual(
          Array.from({ length: kept.length }, (_, at) => number - kept.length + 1 + at),
        );
      }
      vi.advanceTimersByTime(ttlMs + 1_000);
      expect(known.size).toBe(0);
    }),
  );
});
