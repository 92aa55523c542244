import { DatabaseSync } from 'node:sqlite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openJournal } from '../../runner/journal.ts';
import { KeptDeadline } from '../../runner/sandboxes/kept-deadline.ts';
import { waitFor } from '../wait-for.ts';
import { processSpec, startHarness, type Harness } from './support/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());
afterEach(() => {
  vi.useRealTimers();
});

const agentOf = (processId: string) => harness.sessions.findLast(({ started }) => started.has(processId));

test('a process’s deadline is kept by the runner’s next life, whatever the agent says', async () => {
  const { edge } = harness;
  const { sandboxId } = await harness.create();
  const spec = processSpec({ timeoutMs: 2_000 });
  const startedAt = performance.now();
  await edge.deliver('process.start', { sandboxId }, { spec, attach: null });
  await waitFor('it to run', () => agentOf(spec.processId), 5_000);
  await harness.crash();
  const agent = agentOf(spec.processId);
  const killed = `${spec.processId} SIGKILL`;
  await waitFor('the runner to end it', () => agent?.signals.includes(killed), 10_000);
  expect(performance.now() - startedAt).toBeGreaterThan(3_900);
  await harness.crash();
  expect(agentOf(spec.processId)?.get(spec.processId).sinks.size).toBe(0);
});

test('one that exits after the adoption is over: nobody signals it, no later life expects it', async () => {
  const { edge } = harness;
  const { sandboxId } = await harness.create();
  const spec = processSpec({ timeoutMs: 1_000 });
  await edge.deliver('process.start', { sandboxId }, { spec, attach: null });
  await waitFor('it to run', () => agentOf(spec.processId), 5_000);
  await harness.crash();
  const agent = agentOf(spec.processId);
  await waitFor('the exit to be listened for', () => agent?.get(spec.processId).sinks.size === 1, 5_000);
  agent?.end(spec.processId);
  await harness.crash();
  expect(agentOf(spec.processId)?.get(spec.processId).sinks.size).toBe(0);
});

test('what survives kill -9 is the deadline of each process that has run for a second', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gbx-j-'));
  const journal = openJournal(join(folder, 'journal.sqlite'));
  const rows = () => journal.processes('s').map(({ processId }) => processId);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const [quick, slow] = ['quick', 'slow'].map((processId) => new KeptDeadline(journal, 's', processId, 60_000));
  vi.advanceTimersByTime(999);
  quick?.forget();
  expect(rows()).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(rows()).toEqual(['slow']);
  slow?.forget();
  expect(rows()).toEqual([]);
  journal.close();
  await rm(folder, { recursive: true });
});

test('a journal of an earlier runner is brought up to date with what it holds', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gbx-j-'));
  const path = join(folder, 'journal.sqlite');
  openJournal(path).close();
  const old = new DatabaseSync(path);
  old.exec(
    "DROP TABLE process; DROP TABLE environment; PRAGMA user_version = 1; INSERT INTO identity VALUES (1, 'abc', 'secret')",
  );
  old.close();
  const journal = openJournal(path);
  expect(journal.identity()).toEqual({ runnerId: 'abc', secret: 'secret' });
  journal.saveProcess('s', { processId: 'p', deadlineMonotonicMs: 1.5 });
  expect(journal.processes('s')).toEqual([{ processId: 'p', deadlineMonotonicMs: 1.5 }]);
  journal.forgetProcess('s', 'p');
  expect(journal.processes('s')).toEqual([]);
  journal.close();
  await rm(folder, { recursive: true });
});
