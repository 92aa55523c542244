import { expect, test } from 'vitest';
import type { Heartbeat } from '../../runner/protocol/node-report.ts';
import type { PlacementRequest } from '../../worker/core/ports.ts';
import { Roster, UNREACHABLE_MS } from '../../worker/durable/fleet/roster.ts';

const runnerId = '1111111111111111';
const request: PlacementRequest = {
  template: 'base',
  network: 'off',
  cpus: 1,
  memoryMiB: 512,
  exclude: [],
  prefer: null,
  restoresMemory: false,
};

const beat = (sequence: number, sandboxIds: readonly string[], changes: Partial<Heartbeat> = {}): Heartbeat => ({
  boot: 'a'.repeat(32),
  sequence,
  draining: false,
  region: 'local',
  runtime: 'runc',
  checkpoint: 'freeze',
  cpus: 2,
  memoryMiB: 8_192,
  memoryAvailableMiB: 8_192,
  diskAvailableMiB: 8_192,
  sandboxLimit: 1,
  networks: ['off'],
  warm: [],
  sandboxes: sandboxIds.map((sandboxId) => ({ sandboxId, epoch: 1, revision: 1, state: 'running', expiresAtMs: 1 })),
  history: [],
  ...changes,
});

const listening = () => {
  const roster = new Roster();
  return { roster, runner: roster.remember(runnerId, 'online', 0) };
};

test('a sandbox that was ended frees its place at once, and again does not count when a late beat still shows it', () => {
  const { roster, runner } = listening();
  roster.hear(runner, beat(1, ['first']), 1_000);
  expect(roster.place('second', request, 1_100)).toBeNull();
  roster.release('first', 1_200);
  expect(roster.place('second', request, 1_300)).toBe(runnerId);
  expect(roster.place('third', request, 1_400)).toBeNull();
  roster.hear(runner, beat(2, ['first', 'second']), 1_500);
  expect(roster.place('third', request, 1_600)).toBeNull();
  roster.release('second', 1_700);
  expect(roster.place('third', request, 1_800)).toBe(runnerId);
});

test('a runner that drains, or has yet to find out whether it can run any, is not online: nothing says that a sandbox could be made', () => {
  const { roster, runner } = listening();
  roster.hear(runner, beat(1, []), 1_000);
  expect(roster.summary(1_100)).toMatchObject({ online: 1, unreachable: 0 });
  roster.hear(runner, beat(2, [], { draining: true, networks: ['on'] }), 2_000);
  expect(roster.summary(2_100)).toMatchObject({ online: 0, unreachable: 0, networks: [] });
  expect(roster.summary(2_000 + UNREACHABLE_MS)).toMatchObject({ online: 0, unreachable: 1 });
  roster.hear(runner, beat(0, [], { boot: 'b'.repeat(32), sandboxLimit: 0 }), 3_000);
  expect(roster.summary(3_100)).toMatchObject({ online: 0, unreachable: 0 });
  roster.hear(runner, beat(1, [], { boot: 'b'.repeat(32) }), 4_000);
  expect(roster.place('first', request, 4_100)).toBe(runnerId);
});

test('memory that a paused sandbox gave back is nobody’s: what is placed counts with the rest', () => {
  const { roster, runner } = listening();
  const node = { memoryMiB: 600, sandboxLimit: 9 };
  const large = { ...request, memoryMiB: 600 };
  const paused = (memoryFreed: boolean) => ({
    sandboxes: Array.from({ length: 5 }, (_, index) => ({
      sandboxId: `paused-${index}`,
      epoch: 1,
      revision: 1,
      state: 'paused' as const,
      expiresAtMs: 1,
      memoryFreed,
    })),
  });
  roster.hear(runner, beat(1, [], { ...node, ...paused(false) }), 1_000);
  expect(roster.place('next', large, 1_100)).toBeNull();
  roster.hear(runner, beat(2, [], { ...node, ...paused(true) }), 2_000);
  expect(roster.place('next', large, 2_100)).toBe(runnerId);
});

test('runners are listed as they last told of themselves, with what a pause does there', () => {
  const { roster, runner } = listening();
  expect(roster.list(0)).toEqual([]);
  roster.hear(runner, beat(1, ['one'], { checkpoint: 'criu' }), 1_000);
  expect(roster.list(1_100)).toMatchObject([{ runnerId, status: 'online', sandboxes: 1, checkpoint: 'criu' }]);
  roster.hear(runner, beat(2, [], { draining: true }), 2_000);
  expect(roster.list(2_100)).toMatchObject([{ status: 'draining' }]);
  expect(roster.list(2_000 + UNREACHABLE_MS)).toMatchObject([{ status: 'unreachable' }]);
});

test.each(['criu', 'gvisor'] as const)(
  'what is to go on with its processes goes to a runner that checkpoints (%s)',
  (checkpoint) => {
    const { roster, runner } = listening();
    roster.hear(runner, beat(1, [], { checkpoint: 'freeze' }), 1_000);
    const able = roster.remember('b'.repeat(16), 'online', 0);
    roster.hear(able, beat(1, [], { checkpoint }), 1_000);
    expect(roster.place('first', { ...request, restoresMemory: true }, 1_100)).toBe('b'.repeat(16));
  },
);
