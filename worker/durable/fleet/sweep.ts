import { limits } from '../../../runner/protocol/limits.ts';
import { judgeOpenJob, mayDeclareLost, type RecordedSandbox } from '../../core/reconcile.ts';
import type { Broker } from '../../core/ports.ts';
import { pausedBy, resumedBy } from '../../core/sandboxes/paused-by.ts';
import { isRefusal } from '../../core/sandboxes/route.ts';
import type { Records } from './records.ts';
import { isOnline, UNREACHABLE_MS, type KnownRunner, type Roster } from './roster.ts';

/** Silence after which a runner's sandboxes count as lost with it. */
const LOST_MS = 5 * 60_000;
/**
 * Silence after which a runner without a sandbox is no sign of trouble any more: a machine that was replaced joins under another id, and its
 * predecessors would keep every later one's sandboxes from being given up. Well above LOST_MS: where half the cell can't be reached, idle
 * ones are among it.
 */
const RETIRED_MS = 60 * 60_000;
/** One sweep takes on this much; the rest comes with the next. */
const SWEEP_ROWS = 50;
const HISTORY_SWEEP_MS = 3600_000;
/** How long a job that is delivered again may take, and how long until it is looked at again. */
const REDELIVERY_MS = 30_000;
const NEXT_LOOK_MS = 60_000;
const pausedEvent = { kind: 'paused', message: 'Paused.' } as const;
const resumedEvent = { kind: 'resumed', message: 'Resumed.' } as const;

interface SweepParts {
  roster: Roster;
  records: Records;
  broker: Pick<Broker, 'lifecycle'>;
  startedAtMs: number;
  /** Work that may outlast the sweep. */
  after: (work: Promise<unknown>) => void;
}

/** What nobody's request does: silent runners, jobs whose caller is gone, old history. */
export class Sweep {
  readonly #parts: SweepParts;
  #historySweptAtMs = 0;

  constructor(parts: SweepParts) {
    this.#parts = parts;
  }

  async run(nowMs: number): Promise<void> {
    const { roster, records } = this.#parts;
    roster.expire(nowMs);
    const runners = [...roster.runners];
    for (const runner of runners) await this.#markSilent(runner, nowMs);
    const counted = runners.filter((runner) => !isRetired(runner, nowMs));
    const silent = counted.filter((runner) => !isOnline(runner, nowMs));
    const mayEnd = mayDeclareLost(counted.length, silent.length, nowMs - this.#parts.startedAtMs, limits.leaseMs);
    for (const runner of silent) await this.#sweepSilent(runner, mayEnd, nowMs);
    for (const row of await records.withOverdueJob(nowMs, SWEEP_ROWS)) await this.#settleJob(row, nowMs);
    if (nowMs - this.#historySweptAtMs < HISTORY_SWEEP_MS) return;
    this.#historySweptAtMs = nowMs;
    await records.dropOldHistory(nowMs);
  }

  async #markSilent(runner: KnownRunner, nowMs: number): Promise<void> {
    if (runner.status === 'unreachable' || nowMs - runner.heardAtMs < UNREACHABLE_MS) return;
    runner.status = 'unreachable';
    await this.#parts.records.setStatus(runner.id, 'unreachable', nowMs);
  }

  async #sweepSilent(runner: KnownRunner, mayEnd: boolean, nowMs: number): Promise<void> {
    const silentMs = nowMs - runner.heardAtMs;
    if (silentMs < (mayEnd ? LOST_MS : RETIRED_MS)) return;
    const rows = runner.emptied ? [] : await this.#parts.records.liveOn(runner.id);
    // Nothing is placed on it any more, so nothing comes to be there.
    runner.emptied = rows.length === 0;
    if (!mayEnd) return;
    for (const row of rows.slice(0, SWEEP_ROWS)) {
      await this.#parts.records.end(row, row.openJob === 'kill' ? 'killed' : 'runner_lost', nowMs);
    }
  }

  async #settleJob(row: RecordedSandbox, nowMs: number): Promise<void> {
    const { roster, records } = this.#parts;
    const { runnerId } = row;
    const runner = runnerId === null ? undefined : roster.get(runnerId);
    const observed = runnerId === null ? undefined : roster.observed(row.id, runnerId);
    const expiresAtMs = observed?.expiresAtMs ?? row.expiresAtMs;
    switch (judgeOpenJob(row, observed)) {
      case 'fail_create':
        await records.end(row, 'failed', nowMs);
        return this.#kill(row);
      case 'settle_paused':
        return records.settle(row, pausedBy({ ...observed, expiresAtMs }, nowMs), pausedEvent);
      case 'settle_running':
        return records.settle(row, resumedBy({ expiresAtMs }), resumedEvent);
      case 'drop':
        return records.settle(row, {});
      case 'redeliver':
        if (row.openJob === 'kill' && runnerId === null) return records.end(row, 'killed', nowMs);
        // The next beat compares the row anew, and its answer kills what is there.
        runner?.known.delete(row.id);
        await records.postpone(row, nowMs + NEXT_LOOK_MS);
        return this.#redeliver(row);
    }
  }

  #redeliver(row: RecordedSandbox): void {
    const { runnerId } = row;
    if (runnerId === null) return;
    if (row.openJob === 'kill') return this.#kill(row);
    this.#parts.after(this.#doAgain(row, runnerId));
  }

  /** What is not answered is looked at again. */
  async #doAgain(row: RecordedSandbox, runnerId: string): Promise<void> {
    try {
      await this.#deliver(row, runnerId);
    } catch (error) {
      // Rules are tried on: those before are not on record any more.
      if (row.openJob === 'network' || !isRefusal(error)) throw error;
      // It stays as it was: what can't be done would be tried for ever, and keep everything else from the sandbox.
      await this.#parts.records.settle(row, {});
    }
  }

  async #deliver(row: RecordedSandbox, runnerId: string): Promise<void> {
    const { broker, records } = this.#parts;
    const job = { ...envelope(row), memory: row.memoryKept ?? true };
    if (row.openJob === 'pause') {
      const outcome = await broker.lifecycle('sandbox.pause', runnerId, job, REDELIVERY_MS);
      await records.settle(row, pausedBy(outcome, Date.now()), pausedEvent);
    } else if (row.openJob === 'resume') {
      const outcome = await broker.lifecycle('sandbox.resume', runnerId, { ...job, ttlMs: row.ttlMs }, REDELIVERY_MS);
      await records.settle(row, resumedBy(outcome), resumedEvent);
    } else if (row.openJob === 'network') {
      await broker.lifecycle('sandbox.network', runnerId, { ...envelope(row), egress: row.egress }, REDELIVERY_MS);
      await records.settle(row, {}, { kind: 'network', message: 'Network rules changed.' });
    }
  }

  #kill(row: RecordedSandbox): void {
    const { roster, broker, after } = this.#parts;
    const { runnerId } = row;
    const runner = runnerId === null ? undefined : roster.get(runnerId);
    // For one that is away nothing is queued: its first beat is answered with the kill.
    if (!runner || !isOnline(runner, Date.now())) return;
    after(broker.lifecycle('sandbox.kill', runner.id, { ...envelope(row), graceMs: 0 }, REDELIVERY_MS));
  }
}

const isRetired = ({ emptied, heardAtMs }: KnownRunner, nowMs: number): boolean =>
  emptied && nowMs - heardAtMs >= RETIRED_MS;

const envelope = (row: RecordedSandbox) => ({
  sandboxId: row.id,
  tenantId: row.tenantId,
  epoch: row.epoch,
  // Above the job's own for an end that the sweep decided; a repeat of the same for the rest.
  revision: row.openJob === 'create' ? row.revision + 1 : row.revision,
  requestId: 'sweep',
});
