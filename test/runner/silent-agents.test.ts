import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EngineWatch } from '../../runner/engine-watch.ts';
import { createLogger } from '../../runner/log.ts';
import { Lanes } from '../../runner/sandboxes/lanes.ts';
import type { SandboxTable } from '../../runner/sandboxes/table.ts';
import { EngineDouble } from './support/doubles.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'hrtime'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** What of a running sandbox the watch looks at, and why it was ended. */
function watched() {
  const engine = new EngineDouble();
  engine.containers.set('c', { id: 'c', slot: 's', state: 'running' });
  const sandbox = { state: 'running', changing: false, home: { containerId: 'c', session: { connected: false } } };
  const ends: string[] = [];
  const end = async (_: unknown, reason: string) => {
    sandbox.state = 'ended';
    ends.push(reason);
  };
  const sandboxes = { all: () => [sandbox], findByContainer: () => sandbox, end } as unknown as SandboxTable;
  const slots = new Set<string>();
  const pool = { containerEnded: () => undefined, slots };
  const log = createLogger(() => undefined);
  const lanes = new Lanes();
  return { sandbox, ends, watch: new EngineWatch({ engine, pool, sandboxes, containers: { slots }, lanes, log }) };
}

test('an agent that is silent for half a minute ends its sandbox; while a change cuts it off, that is no silence', async () => {
  const { sandbox, ends, watch } = watched();
  watch.start();
  sandbox.changing = true; // a snapshot, say
  await vi.advanceTimersByTimeAsync(180_000);
  sandbox.changing = false;
  await vi.advanceTimersByTimeAsync(30_000);
  expect(ends).toEqual([]); // it counts from the end of the change
  await vi.advanceTimersByTimeAsync(10_000);
  expect(ends).toEqual(['failed']);
  await watch.stop();
});
