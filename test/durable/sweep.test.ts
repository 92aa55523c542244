import { expect, test } from 'vitest';
import type { RunnerErrorCode } from '../../runner/protocol/errors.ts';
import type { Heartbeat } from '../../runner/protocol/node-report.ts';
import type { RecordedSandbox } from '../../worker/core/reconcile.ts';
import { errorFromRunner, ServiceError } from '../../worker/core/errors.ts';
import type { Records } from '../../worker/durable/fleet/records.ts';
import { Roster } from '../../worker/durable/fleet/roster.ts';
import { Sweep } from '../../worker/durable/fleet/sweep.ts';

const [steady, silent, third] = ['1', '2', '3'].map((digit) => digit.repeat(16)) as [string, string, string];
const MINUTE_MS = 60_000;

const row = (runnerId: string): RecordedSandbox => ({
  id: `of-${runnerId}`,
  tenantId: 'ten_1',
  runnerId,
  epoch: 1,
  revision: 1,
  state: 'running',
  openJob: null,
  openJobDeadlineMs: null,
  expiresAtMs: null,
  startedAtMs: 1,
  memoryMiB: 512,
  memoryKept: null,
  ttlMs: 1,
  deadlineMode: 'fixed',
  egress: { allow: [], deny: [] },
});

/** Runners that were all heard at 0, and what the sweep writes of them. Only what it writes with is stood in for. */
const cellOf = (runnerIds: readonly string[], startedAtMs = -MINUTE_MS, emptyIds: readonly string[] = []) => {
  const roster = new Roster();
  const hear = (runnerId: string, nowMs: number) => {
    const runner = roster.get(runnerId) ?? roster.remember(runnerId, 'online', nowMs);
    roster.hear(runner, { boot: 'a', sequence: nowMs, sandboxes: [] } as Partial<Heartbeat> as Heartbeat, nowMs);
  };
  for (const runnerId of runnerIds) hear(runnerId, 0);
  const written: string[] = [];
  const asked: string[] = [];
  const records: Partial<Records> = {
    setStatus: async (runnerId, status) => void written.push(`${runnerId} ${status}`),
    liveOn: async (runnerId) => {
      asked.push(runnerId);
      return emptyIds.includes(runnerId) ? [] : [row(runnerId)];
    },
    end: async ({ id }, reason) => void written.push(`${id} ${reason}`),
    withOverdueJob: async () => [],
    dropOldHistory: async () => undefined,
  };
  const sweep = new Sweep({
    roster,
    records: records as Records,
    broker: { lifecycle: () => Promise.reject(new Error('nothing is to be delivered')) },
    startedAtMs,
    after: () => undefined,
  });
  return { sweep, hear, written, asked };
};

test('30 s of silence make a runner unreachable, told once; its sandboxes stay for 5 minutes and are then lost with it', async () => {
  const { sweep, hear, written } = cellOf([steady, silent]);
  const toldAtMs = new Map<string, number>();
  for (let nowMs = 0; nowMs <= 5 * MINUTE_MS; nowMs += 5_000) {
    hear(steady, nowMs);
    await sweep.run(nowMs);
    for (const line of written) if (!toldAtMs.has(line)) toldAtMs.set(line, nowMs);
  }
  expect([...toldAtMs]).toEqual([
    [`${silent} unreachable`, 30_000],
    [`of-${silent} runner_lost`, 5 * MINUTE_MS],
  ]);
  expect(written).toHaveLength(2);
});

test('while over half of the cell is silent no sandbox is given up, however long it lasts', async () => {
  const { sweep, hear, written } = cellOf([steady, silent, third]);
  const nowMs = 60 * MINUTE_MS;
  hear(steady, nowMs);
  await sweep.run(nowMs);
  expect(written).toEqual([`${silent} unreachable`, `${third} unreachable`]);
});

test('a machine that was replaced keeps nothing of the next one’s: without a sandbox its silence counts for an hour, and is asked of once', async () => {
  const { sweep, hear, written, asked } = cellOf([steady, silent, third], -MINUTE_MS, [silent]);
  const ended = () => written.filter((line) => line.endsWith('runner_lost'));
  for (let nowMs = 0; nowMs < 60 * MINUTE_MS; nowMs += MINUTE_MS) {
    hear(steady, nowMs);
    await sweep.run(nowMs);
  }
  expect(ended()).toEqual([]);
  for (let nowMs = 60 * MINUTE_MS; nowMs < 65 * MINUTE_MS; nowMs += MINUTE_MS) {
    hear(steady, nowMs);
    await sweep.run(nowMs);
  }
  expect(ended()[0]).toBe(`of-${third} runner_lost`);
  expect(asked.filter((runnerId) => runnerId === silent)).toHaveLength(1);
});

test('within a lease of Fleet’s own start nobody is given up: it has not listened for long enough', async () => {
  const nowMs = 10 * MINUTE_MS;
  const { sweep, hear, written } = cellOf([steady, silent], nowMs - 10_000);
  hear(steady, nowMs);
  await sweep.run(nowMs);
  expect(written).toEqual([`${silent} unreachable`]);
});

/** What a sweep makes of a job whose caller is gone. */
const sweptWith = async (open: RecordedSandbox, refusal?: ServiceError) => {
  const roster = new Roster();
  const runner = roster.remember(steady, 'online', 0);
  roster.hear(runner, { boot: 'a', sequence: 1, sandboxes: [] } as Partial<Heartbeat> as Heartbeat, 0);
  const settled: unknown[] = [];
  const delivered: unknown[] = [];
  const work: Promise<unknown>[] = [];
  const records: Partial<Records> = {
    withOverdueJob: async () => [open],
    postpone: async () => undefined,
    settle: async (...args) => void settled.push(args),
    dropOldHistory: async () => undefined,
  };
  const sweep = new Sweep({
    roster,
    records: records as Records,
    broker: {
      lifecycle: async (name, runnerId, data) => {
        delivered.push([name, runnerId, data]);
        if (refusal) throw refusal;
        return { state: name === 'sandbox.pause' ? 'paused' : 'running', expiresAtMs: 1 };
      },
    },
    startedAtMs: -MINUTE_MS,
    after: (done) => void work.push(done.catch(() => undefined)),
  });
  await sweep.run(1_000);
  await Promise.all(work);
  return { delivered, settled };
};

test.each([true, false])(
  'a pause and a resume are delivered again as they were asked for: memory %s',
  async (memory) => {
    for (const openJob of ['pause', 'resume'] as const) {
      const state = openJob === 'pause' ? 'running' : 'paused';
      const open: RecordedSandbox = { ...row(steady), state, openJob, memoryKept: memory };
      const { delivered, settled } = await sweptWith(open);
      expect(delivered).toMatchObject([[`sandbox.${openJob}`, steady, { memory }]]);
      expect(settled).toMatchObject([[open, { state: state === 'paused' ? 'running' : 'paused' }, {}]]);
    }
  },
);

test('rules whose caller is gone are delivered again as they are on record, and settled once they are in force', async () => {
  const egress = { allow: [], deny: ['203.0.113.0/24'] };
  const open: RecordedSandbox = { ...row(steady), revision: 7, openJob: 'network', egress };
  const { delivered, settled } = await sweptWith(open);
  expect(delivered).toMatchObject([['sandbox.network', steady, { sandboxId: open.id, revision: 7, egress }]]);
  expect(settled).toMatchObject([[open, {}, { kind: 'network' }]]);
});

const refusedBy = (code: RunnerErrorCode) => errorFromRunner({ code, message: 'The script says so.' });

test.each<RunnerErrorCode>(['agent_unavailable', 'engine_failed', 'capacity_exhausted'])(
  'a pause and a resume that their runner refuses (%s) when they are delivered again are over: it stays as it was',
  async (code) => {
    for (const openJob of ['pause', 'resume'] as const) {
      const open: RecordedSandbox = { ...row(steady), state: openJob === 'pause' ? 'running' : 'paused', openJob };
      expect((await sweptWith(open, refusedBy(code))).settled).toEqual([[open, {}]]);
    }
  },
);

test('what the runner does not know itself, what never reached it, and rules that it refused stay open', async () => {
  const paused: RecordedSandbox = { ...row(steady), state: 'paused', openJob: 'resume' };
  const unknown = [
    refusedBy('internal'),
    refusedBy('deadline_exceeded'),
    new ServiceError('not_started', 'The node is away.'),
    new ServiceError('runner_lost', 'The node is away.'),
  ];
  for (const failure of unknown) expect((await sweptWith(paused, failure)).settled).toEqual([]);
  const rules: RecordedSandbox = { ...row(steady), openJob: 'network' };
  expect((await sweptWith(rules, refusedBy('engine_failed'))).settled).toEqual([]);
});
