import { and, eq, inArray, isNotNull, isNull, lt, ne, sql } from 'drizzle-orm';
import type { CellDb } from '../../../db/client.ts';
import { execHistory, generatedFiles, runners, sandboxes } from '../../../db/cell.ts';
import type { EndReason, ExecRecord, ObservedSandbox } from '../../../runner/protocol/node-report.ts';
import type { RecordedSandbox } from '../../core/reconcile.ts';
import { changeSandbox, type SandboxChange } from '../../core/sandboxes/change-sandbox.ts';
import { pausedBy } from '../../core/sandboxes/paused-by.ts';
import type { Broker } from '../../core/ports.ts';
import type { KnownRunner } from './roster.ts';

/** D1 takes at most 100 parameters a statement. */
const IDS_PER_STATEMENT = 90;
const HISTORY_RECORDS = 1_000;
const HISTORY_MS = 7 * 24 * 3600 * 1000;

const recorded = {
  id: sandboxes.id,
  tenantId: sandboxes.tenantId,
  runnerId: sandboxes.runnerId,
  epoch: sandboxes.epoch,
  revision: sandboxes.revision,
  state: sandboxes.state,
  openJob: sandboxes.openJob,
  openJobDeadlineMs: sandboxes.openJobDeadlineMs,
  expiresAtMs: sandboxes.expiresAtMs,
  startedAtMs: sandboxes.startedAtMs,
  memoryMiB: sandboxes.memoryMiB,
  memoryKept: sandboxes.memoryKept,
  ttlMs: sandboxes.ttlMs,
  deadlineMode: sandboxes.deadlineMode,
  egress: sandboxes.egress,
};

const endWords: Record<EndReason, string> = {
  killed: 'Ended by request.',
  timeout: 'Its time was up.',
  failed: 'It failed.',
  oom: 'It ran out of memory.',
  runner_lost: 'Its runner was lost.',
  evicted: 'Its runner evicted it.',
};

/** Fleet's reads and writes of the cell's record. Shards are told of every end. */
export class Records {
  readonly #db: CellDb;
  readonly #broker: Pick<Broker, 'setRoute'>;

  constructor(db: CellDb, broker: Pick<Broker, 'setRoute'>) {
    this.#db = db;
    this.#broker = broker;
  }

  async byIds(ids: readonly string[]): Promise<RecordedSandbox[]> {
    const found: RecordedSandbox[] = [];
    for (let start = 0; start < ids.length; start += IDS_PER_STATEMENT) {
      const some = ids.slice(start, start + IDS_PER_STATEMENT);
      found.push(...(await this.#db.select(recorded).from(sandboxes).where(inArray(sandboxes.id, some))));
    }
    return found;
  }

  /** All that the record has on a runner. */
  liveOn(runnerId: string): Promise<RecordedSandbox[]> {
    return this.#db
      .select(recorded)
      .from(sandboxes)
      .where(and(eq(sandboxes.runnerId, runnerId), ne(sandboxes.state, 'ended')));
  }

  withOverdueJob(nowMs: number, limit: number): Promise<RecordedSandbox[]> {
    return this.#db
      .select(recorded)
      .from(sandboxes)
      .where(and(isNotNull(sandboxes.openJob), lt(sandboxes.openJobDeadlineMs, nowMs), ne(sandboxes.state, 'ended')))
      .orderBy(sandboxes.openJobDeadlineMs)
      .limit(limit);
  }

  /** An end with the right epoch holds whatever the revision. Again is harmless. */
  async end(row: RecordedSandbox, reason: EndReason, endedAtMs: number): Promise<void> {
    const set: SandboxChange['set'] = {
      state: 'ended',
      endReason: reason,
      endedAtMs,
      openJob: null,
      openJobDeadlineMs: null,
      env: {},
      ...(row.state === 'creating' ? { idempotencyKey: null } : {}),
    };
    await this.#change(row, set, and(eq(sandboxes.epoch, row.epoch), ne(sandboxes.state, 'ended')), {
      kind: 'ended',
      message: endWords[reason],
    });
  }

  /** By its runner, at its timeout: holds unless a verb has begun since. */
  async pause(row: RecordedSandbox, report: ObservedSandbox, nowMs: number): Promise<void> {
    const unchanged = and(
      eq(sandboxes.epoch, row.epoch),
      eq(sandboxes.revision, row.revision),
      eq(sandboxes.state, 'running'),
      isNull(sandboxes.openJob),
    );
    const event = { kind: 'paused', message: 'Paused at its timeout.' } as const;
    await this.#change(row, pausedBy(report, nowMs), unchanged, event);
  }

  /** A job whose caller is gone: what the runner reports is written, unless another job has come since. */
  async settle(row: RecordedSandbox, set: SandboxChange['set'], event?: SandboxChange['event']): Promise<void> {
    await this.#change(row, { ...set, openJob: null, openJobDeadlineMs: null }, this.#sameJob(row), event);
  }

  /** Puts off the next look at an open job. */
  async postpone(row: RecordedSandbox, untilMs: number): Promise<void> {
    await this.#db
      .update(sandboxes)
      .set({ openJobDeadlineMs: untilMs })
      .where(and(eq(sandboxes.id, row.id), this.#sameJob(row)));
  }

  #sameJob(row: RecordedSandbox) {
    return and(
      eq(sandboxes.epoch, row.epoch),
      eq(sandboxes.revision, row.revision),
      isNotNull(sandboxes.openJob),
      ne(sandboxes.state, 'ended'),
    );
  }

  async #change(
    row: RecordedSandbox,
    set: SandboxChange['set'],
    when: SandboxChange['when'],
    event: SandboxChange['event'],
  ): Promise<void> {
    const ctx = { cell: this.#db, now: () => Date.now() };
    const changed = await changeSandbox(ctx, { sandboxId: row.id, when, set, ...(event ? { event } : {}) });
    // The record stands without it: a shard that missed it re-reads after a refusal.
    if (changed) await this.#broker.setRoute(changed.id, changed).catch(() => undefined);
  }

  /** Not a change of state: it has no last_op of its own, or it would hide a verb's. */
  async moveDeadline(row: RecordedSandbox, expiresAtMs: number): Promise<void> {
    await this.#db
      .update(sandboxes)
      .set({ expiresAtMs })
      .where(
        and(
          eq(sandboxes.id, row.id),
          eq(sandboxes.epoch, row.epoch),
          eq(sandboxes.revision, row.revision),
          ne(sandboxes.state, 'ended'),
        ),
      );
  }

  /** Only for a sandbox that is the runner's. */
  async addHistory(runnerId: string, sandboxId: string, records: readonly ExecRecord[], nowMs: number): Promise<void> {
    const insert = this.#db.insert(execHistory).select(
      sql`select null, ${sandboxId}, ${nowMs}, ${records.length}, ${JSON.stringify(records)}
        where exists (select 1 from ${sandboxes} where ${sandboxes.id} = ${sandboxId} and ${sandboxes.runnerId} = ${runnerId})`,
    );
    // Not db.run(): drizzle's D1 batch drops the parameters of raw statements.
    const surplus = sql`(select id from (select id, sum(count) over (order by id desc) as total from ${execHistory}
      where ${execHistory.sandboxId} = ${sandboxId}) where total > ${HISTORY_RECORDS})`;
    const trim = this.#db.delete(execHistory).where(sql`${execHistory.id} in ${surplus}`);
    await this.#db.batch([insert, trim]);
  }

  async dropOldHistory(nowMs: number): Promise<void> {
    await this.#db.batch([
      this.#db.delete(execHistory).where(lt(execHistory.atMs, nowMs - HISTORY_MS)),
      this.#db.delete(generatedFiles).where(lt(generatedFiles.atMs, nowMs - HISTORY_MS)),
    ]);
  }

  async runners(): Promise<{ id: string; status: KnownRunner['status'] }[]> {
    return this.#db.select({ id: runners.id, status: runners.status }).from(runners).where(ne(runners.status, 'left'));
  }

  async setStatus(runnerId: string, status: KnownRunner['status'], nowMs: number): Promise<void> {
    await this.#db.update(runners).set({ status, seenAtMs: nowMs }).where(eq(runners.id, runnerId));
  }
}
