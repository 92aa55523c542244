import { DurableObject } from 'cloudflare:workers';
import { openCell, openDirectory } from '../../db/client.ts';
import type { Heartbeat, HeartbeatAnswer } from '../../runner/protocol/node-report.ts';
import { createBroker } from '../adapters/broker.ts';
import { createObjectStore, createSnapshotStore } from '../adapters/object-store.ts';
import type { PlacementRequest, RunnerSummary } from '../core/ports.ts';
import { DEADLINE_CHANGE_MS, judgeMissing, judgeReports, type RecordedSandbox } from '../core/reconcile.ts';
import { TemplateCatalog } from '../core/templates/template-catalog.ts';
import { settingsOf, type Env } from '../env.ts';
import { Admission } from './fleet/admission.ts';
import { poolTargets } from './fleet/pool-targets.ts';
import { Records } from './fleet/records.ts';
import { Roster, type KnownRunner } from './fleet/roster.ts';
import { StorageSweep } from './fleet/storage-sweep.ts';
import { Sweep } from './fleet/sweep.ts';

const SWEEP_MS = 5_000;
/** Every row of a runner is compared with its reports this often; between, only what a report says anew. */
const COMPARE_MS = 60_000;
/** What one beat's answer waits for; the rest comes with the next. */
const WRITES_PER_BEAT = 100;

const nothing: ReadonlyMap<string, RecordedSandbox> = new Map();

/** One per cell: who is there, where to place, what to put right. Its memory is rebuilt from heartbeats; D1 sees changes only. */
export class Fleet extends DurableObject<Env> {
  readonly #roster = new Roster();
  readonly #admission = new Admission();
  readonly #records: Records;
  readonly #sweep: Sweep;
  readonly #storageSweep: StorageSweep;
  readonly #templates = new TemplateCatalog();
  readonly #startedAtMs = Date.now();
  readonly #turns = new Map<string, Promise<unknown>>();
  #remembered: Promise<void> | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const broker = createBroker(env, settingsOf(env));
    this.#records = new Records(openCell(env.CELL_DB), broker);
    this.#sweep = new Sweep({
      roster: this.#roster,
      records: this.#records,
      broker,
      startedAtMs: this.#startedAtMs,
      // A job that fails here is looked at again by a later sweep.
      after: (work) => ctx.waitUntil(work.catch(() => undefined)),
    });
    this.#storageSweep = new StorageSweep({
      directory: openDirectory(env.DIRECTORY_DB),
      objects: createObjectStore(env, settingsOf(env)),
      snapshotObjects: createSnapshotStore(env, settingsOf(env)),
      storage: ctx.storage,
    });
  }

  async place(sandboxId: string, request: PlacementRequest): Promise<{ runnerId: string } | null> {
    await this.#admission.enter(sandboxId, this.#roster.summary(Date.now()).online, Date.now());
    const runnerId = this.#roster.place(sandboxId, request, Date.now());
    if (runnerId === null) this.#admission.leave(sandboxId);
    return runnerId === null ? null : { runnerId };
  }

  async settled(sandboxId: string): Promise<void> {
    this.#admission.leave(sandboxId);
  }

  async release(sandboxId: string): Promise<void> {
    this.#admission.leave(sandboxId);
    this.#roster.release(sandboxId, Date.now());
  }

  async forgetTemplates(): Promise<void> {
    this.#templates.forget();
  }

  async summary(): Promise<ReturnType<Roster['summary']>> {
    return this.#roster.summary(Date.now());
  }

  async runners(): Promise<RunnerSummary[]> {
    return this.#roster.list(Date.now());
  }

  /** The caller has authenticated the runner. Beats of one runner are taken one after the other. */
  heartbeat(runnerId: string, beat: Heartbeat): Promise<HeartbeatAnswer> {
    const turn = (this.#turns.get(runnerId) ?? Promise.resolve()).then(() => this.#beat(runnerId, beat));
    this.#turns.set(
      runnerId,
      turn.catch(() => undefined),
    );
    return turn;
  }

  async #beat(runnerId: string, beat: Heartbeat): Promise<HeartbeatAnswer> {
    await this.#wake();
    const nowMs = Date.now();
    const runner = this.#roster.get(runnerId) ?? this.#roster.remember(runnerId, 'left', nowMs);
    const last = runner.beat;
    const comparedBeforeMs = runner.beatAtMs;
    // Made after all that is known of its rows was read: its runner had the answer to the beat in which that was last done.
    const earlier = last?.boot === beat.boot && last.sequence === beat.answered ? runner.known : nothing;
    const fresh = this.#roster.hear(runner, beat, nowMs);
    await this.#recordStatus(runner, beat.draining ? 'draining' : 'online', nowMs);
    if (fresh) await this.#addHistory(runnerId, beat, nowMs);
    const { kill, recorded } = await this.#compare(runner, beat, { comparedBeforeMs, earlier }, nowMs);
    // A repeat, and one that was overtaken, read rows when the next report may have been made already.
    if (!fresh || runner.beat !== beat) runner.known.clear();
    const pool = beat.draining
      ? []
      : await poolTargets(this.#templates, openDirectory(this.env.DIRECTORY_DB), beat.networks, nowMs);
    return { kill, recorded, pool };
  }

  async #recordStatus(runner: KnownRunner, status: KnownRunner['status'], nowMs: number): Promise<void> {
    if (runner.status === status) return;
    await this.#records.setStatus(runner.id, status, nowMs);
    runner.status = status;
  }

  /** A row that is refused loses its records, not the beat: the runner would send the same again, and be taken for silent. */
  async #addHistory(runnerId: string, beat: Heartbeat, nowMs: number): Promise<void> {
    for (const { sandboxId, records } of beat.history) {
      if (records.length === 0) continue;
      try {
        await this.#records.addHistory(runnerId, sandboxId, records, nowMs);
      } catch (error) {
        // The message alone: drizzle's carries the statement's parameters, and they are tenants' commands.
        const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : 'unknown';
        // oxlint-disable-next-line no-console -- a Durable Object's only log
        console.error(
          JSON.stringify({
            level: 'error',
            event: 'history_lost',
            runnerId,
            sandboxId,
            records: records.length,
            cause,
          }),
        );
      }
    }
  }

  async #compare(
    runner: KnownRunner,
    beat: Heartbeat,
    { comparedBeforeMs, earlier }: { comparedBeforeMs: number; earlier: ReadonlyMap<string, RecordedSandbox> },
    nowMs: number,
  ) {
    const complete = runner.comparisonsDue > 0 || nowMs - runner.comparedAtMs >= COMPARE_MS;
    const rows = new Map<string, RecordedSandbox>();
    if (complete) for (const row of await this.#records.liveOn(runner.id)) rows.set(row.id, row);
    const questioned = beat.sandboxes.filter(
      (sandbox) => complete || sandbox.state === 'ended' || isNews(runner.known.get(sandbox.sandboxId), sandbox),
    );
    const unread = questioned.filter((sandbox) => !rows.has(sandbox.sandboxId)).map((sandbox) => sandbox.sandboxId);
    for (const row of await this.#records.byIds(unread)) rows.set(row.id, row);

    const judgement = judgeReports(runner.id, questioned, rows, earlier, nowMs);
    for (const { row, reason, endedAtMs } of judgement.ended.slice(0, WRITES_PER_BEAT)) {
      await this.#records.end(row, reason, endedAtMs);
      judgement.recorded.push({ sandboxId: row.id, epoch: row.epoch });
      rows.delete(row.id);
    }
    for (const { row, expiresAtMs } of judgement.deadlines.slice(0, WRITES_PER_BEAT)) {
      await this.#records.moveDeadline(row, expiresAtMs);
      rows.set(row.id, { ...row, expiresAtMs });
    }
    for (const { row, report } of judgement.paused.slice(0, WRITES_PER_BEAT)) {
      await this.#records.pause(row, report, nowMs);
      rows.delete(row.id); // read anew with the next beat
      runner.known.delete(row.id);
    }
    if (complete) await this.#endMissing(runner, beat, rows, comparedBeforeMs, nowMs);
    this.#keep(runner, beat, rows, complete);
    return judgement;
  }

  async #endMissing(
    runner: KnownRunner,
    beat: Heartbeat,
    rows: Map<string, RecordedSandbox>,
    comparedBeforeMs: number,
    nowMs: number,
  ): Promise<void> {
    const { missing, lost } = judgeMissing(rows.values(), beat.sandboxes, comparedBeforeMs, runner.missing);
    for (const row of lost) await this.#records.end(row, row.openJob === 'kill' ? 'killed' : 'runner_lost', nowMs);
    runner.missing = missing;
    // What is missing for the first time is looked for again in the next beat.
    runner.comparisonsDue = missing.size > lost.length ? 1 : Math.max(runner.comparisonsDue - 1, 0);
    runner.comparedAtMs = nowMs;
  }

  #keep(runner: KnownRunner, beat: Heartbeat, rows: ReadonlyMap<string, RecordedSandbox>, complete: boolean): void {
    const reported = new Set(beat.sandboxes.map((sandbox) => sandbox.sandboxId));
    if (complete) runner.known.clear();
    for (const id of runner.known.keys()) if (!reported.has(id)) runner.known.delete(id);
    for (const row of rows.values()) {
      if (row.runnerId !== runner.id || !reported.has(row.id)) continue;
      runner.known.set(row.id, row);
      this.#roster.learnMemory(row);
    }
  }

  /** It said goodbye: nothing is left of it, also where its last beat did not arrive, and nothing more is expected. */
  async leave(runnerId: string): Promise<void> {
    this.#roster.forget(runnerId);
    for (const row of await this.#records.liveOn(runnerId)) {
      await this.#records.end(row, row.openJob === 'kill' ? 'killed' : 'evicted', Date.now());
    }
  }

  /** Cron's way in, and every beat's: after a restart the record says whom to expect. */
  async poke(): Promise<void> {
    await this.#wake();
  }

  async #wake(): Promise<void> {
    this.#remembered ??= this.#remember();
    await this.#remembered.catch((error: unknown) => {
      this.#remembered = undefined;
      throw error;
    });
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now() + SWEEP_MS);
  }

  async #remember(): Promise<void> {
    for (const { id, status } of await this.#records.runners()) {
      if (!this.#roster.get(id)) this.#roster.remember(id, status, this.#startedAtMs);
    }
  }

  override async alarm(): Promise<void> {
    // Set first: a sweep that fails must not be the last.
    await this.ctx.storage.setAlarm(Date.now() + SWEEP_MS);
    // Beside the other, which is of more urgent things.
    this.ctx.waitUntil(this.#storageSweep.run(Date.now()));
    await this.#wake();
    await this.#sweep.run(Date.now());
  }
}

/** Whether a report has to be compared with the row as it is now. */
const isNews = (known: RecordedSandbox | undefined, sandbox: Heartbeat['sandboxes'][number]): boolean => {
  if (!known || known.epoch !== sandbox.epoch || known.state !== sandbox.state) return true;
  const { expiresAtMs } = sandbox;
  return (
    expiresAtMs !== null &&
    (known.expiresAtMs === null || Math.abs(known.expiresAtMs - expiresAtMs) >= DEADLINE_CHANGE_MS)
  );
};
