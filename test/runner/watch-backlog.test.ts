import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WatchBacklog } from '../../runner/handlers/watch-backlog.ts';
import { watchEventCredit, type WatchEvent } from '../../runner/protocol/files.ts';

const event = (n: number, pathLength = 12): WatchEvent => ({ kind: 'create', path: `/${n}`.padEnd(pathLength, 'x') });
const creditOf = (events: readonly WatchEvent[]) => events.reduce((sum, each) => sum + watchEventCredit(each), 0);

function open(creditBytes: number) {
  const entries: { events: WatchEvent[]; droppedEvents: number }[] = [];
  const backlog = new WatchBacklog(creditBytes, (events, droppedEvents) => entries.push({ events, droppedEvents }));
  return { backlog, entries, told: () => entries.flatMap(({ events }) => events) };
}

test('a burst of more than the credit waits for more, in order, and nothing of it is lost', () => {
  const events = Array.from({ length: 2_000 }, (_, n) => event(n));
  const { backlog, entries, told } = open(1_000);
  backlog.push(events, 0);
  expect(creditOf(told())).toBeLessThanOrEqual(1_000);
  backlog.grant(creditOf(events));
  expect(told()).toEqual(events);
  expect(entries.every(({ events: part, droppedEvents }) => part.length <= 256 && droppedEvents === 0)).toBe(true);
});

test('who grants nothing is told no more, holds little, and learns how many were dropped, after what was held', () => {
  const events = Array.from({ length: 20_000 }, (_, n) => event(n));
  const { backlog, entries, told } = open(0);
  backlog.push(events, 3);
  expect(entries).toEqual([]);
  backlog.grant(creditOf(events));
  expect(creditOf(told())).toBeLessThanOrEqual(128 * 1024);
  expect(told()).toEqual(events.slice(0, told().length));
  expect(entries.map(({ droppedEvents }) => droppedEvents).filter(Boolean)).toEqual([20_003 - told().length]);
  expect(entries.at(-1)?.droppedEvents).toBe(20_003 - told().length);
});

test('whatever comes and is granted: in order, never beyond the credit, and all is told or counted in the end', () => {
  const step = fc.oneof(
    fc.record({ lengths: fc.array(fc.integer({ min: 8, max: 4000 }), { maxLength: 60 }), dropped: fc.nat(3) }),
    fc.record({ bytes: fc.nat(100_000) }),
  );
  fc.assert(
    fc.property(fc.nat(10_000), fc.array(step, { maxLength: 40 }), (first, steps) => {
      const { backlog, entries, told } = open(first);
      let granted = first;
      let dropped = 0;
      const sent: WatchEvent[] = [];
      for (const next of steps) {
        if ('bytes' in next) {
          granted += next.bytes;
          backlog.grant(next.bytes);
        } else {
          const events = next.lengths.map((length, at) => event(sent.length + at, length));
          sent.push(...events);
          dropped += next.dropped;
          backlog.push(events, next.dropped);
        }
        expect(creditOf(told())).toBeLessThanOrEqual(granted);
      }
      backlog.grant(10_000_000);
      const numbers = told().map((each) => sent.indexOf(each));
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      const counted = entries.reduce((sum, { droppedEvents }) => sum + droppedEvents, 0);
      expect(told().length + counted).toBe(sent.length + dropped);
    }),
  );
});
