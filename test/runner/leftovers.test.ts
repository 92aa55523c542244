import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { adopt } from '../../runner/adoption.ts';
import { openJournal, type Journal } from '../../runner/journal.ts';
import { createLogger } from '../../runner/log.ts';
import { Containers } from '../../runner/sandboxes/containers.ts';
import { SandboxTable } from '../../runner/sandboxes/table.ts';
import { EngineDouble, SessionDouble } from './support/doubles.ts';

const log = createLogger(() => undefined);
const kernelBoot = 'this';
const openSession = async () => new SessionDouble();
const nothing = () => undefined;

let dataDir: string;
let journal: Journal;
let engine: EngineDouble;
let containers: Containers;
let sandboxes: SandboxTable;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gbx-l-'));
  journal = openJournal(join(dataDir, 'journal.sqlite'));
  engine = new EngineDouble();
  const pool = { claim: nothing, yieldTo: async <T>(create: () => Promise<T>) => await create() };
  const warmSize = { cpus: 1, memoryMiB: 256, diskMiB: 256 };
  containers = new Containers({ engine, pool, openSession, dataDir, warmSize, resizes: true, log });
  sandboxes = new SandboxTable({ journal, engine, containers, kernelBoot, onEnded: nothing, onDue: nothing, log });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'hrtime'] });
});
afterEach(async () => {
  vi.useRealTimers();
  sandboxes.stop();
  containers.stop();
  journal.close();
  await rm(dataDir, { recursive: true, force: true });
});

const put = (id: string): void => {
  engine.containers.set(id, { id, slot: `slot-${id}`, state: 'running' });
};

test('a leftover that the engine keeps refusing to remove holds no runner up, and goes when the engine lets it', async () => {
  put('left');
  engine.failRemovals = Infinity;
  let adopted = false;
  const adoption = adopt({ engine, journal, sandboxes, containers, openSession, dataDir, kernelBoot, log }).then(() => {
    adopted = true;
  });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(adopted).toBe(true);
  await adoption;
  expect([...engine.containers.keys()]).toEqual(['left']);
  engine.failRemovals = 0;
  await vi.advanceTimersByTimeAsync(10_000);
  expect([...engine.containers.keys()]).toEqual([]);
});
