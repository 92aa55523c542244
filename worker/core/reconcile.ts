import type { EgressRules } from '../../db/cell.ts';
import type { OpenJob, PersistedState } from '../../db/enums.ts';
import type { EndReason, HeartbeatAnswer, ObservedSandbox } from '../../runner/protocol/node-report.ts';

/** What reconciliation reads of a row. */
export interface RecordedSandbox {
  id: string;
  tenantId: string;
  runnerId: string | null;
  epoch: number;
  revision: number;
  state: PersistedState;
  openJob: OpenJob | null;
  openJobDeadlineMs: number | null;
  expiresAtMs: number | null;
  startedAtMs: number | null;
  memoryMiB: number;
  /** Of a pause or a resume that is under way: what was asked for. */
  memoryKept: boolean | null;
  ttlMs: number;
  deadlineMode: 'fixed' | 'idle';
  egress: EgressRules;
}

export interface Judgement {
  /** For the runner: what must not be there, and what may be forgotten because its end is on record. */
  kill: HeartbeatAnswer['kill'];
  recorded: HeartbeatAnswer['recorded'];
  /** For the record. */
  ended: { row: RecordedSandbox; reason: EndReason; endedAtMs: number }[];
  deadlines: { row: RecordedSandbox; expiresAtMs: number }[];
  /** Paused by their runner, at their timeout. */
  paused: { row: RecordedSandbox; report: ObservedSandbox }[];
}

/** Smaller changes of a deadline are not worth a write: the record is a lower bound. */
export const DEADLINE_CHANGE_MS = 30_000;

/**
 * A runner's report set against the record, which was read after the report was made. Epoch decides whose word counts: a report of the
 * row's own runner and epoch about its end holds whatever its revision; any other is of a sandbox that should not be there. `earlier`: rows
 * as they were read before the report was made, as far as that is certain.
 */
export const judgeReports = (
  runnerId: string,
  observed: readonly ObservedSandbox[],
  rows: ReadonlyMap<string, RecordedSandbox>,
  earlier: ReadonlyMap<string, RecordedSandbox>,
  nowMs: number,
): Judgement => {
  const judgement: Judgement = { kill: [], recorded: [], ended: [], deadlines: [], paused: [] };
  for (const report of observed) {
    const { sandboxId, epoch } = report;
    const row = rows.get(sandboxId);
    const current = row && row.runnerId === runnerId && row.epoch === epoch && row.state !== 'ended' ? row : undefined;
    if (!current) {
      if (report.state === 'ended') judgement.recorded.push({ sandboxId, epoch });
      else judgement.kill.push({ sandboxId, epoch, revision: revisionAbove(report, row) });
      continue;
    }
    if (report.state === 'ended') {
      const reason = report.endReason ?? (current.openJob === 'kill' ? 'killed' : 'failed');
      judgement.ended.push({ row: current, reason, endedAtMs: Math.min(report.endedAtMs ?? nowMs, nowMs) });
      continue;
    }
    if (current.openJob === 'kill' && overdue(current, nowMs)) {
      judgement.kill.push({ sandboxId, epoch, revision: current.revision });
      continue;
    }
    if (!isSteady(report, current, earlier.get(sandboxId))) continue;
    if (report.state === 'paused' && current.state === 'running') judgement.paused.push({ row: current, report });
    else if (report.expiresAtMs !== null && movedMuch(current.expiresAtMs, report.expiresAtMs)) {
      judgement.deadlines.push({ row: current, expiresAtMs: report.expiresAtMs });
    }
  }
  return judgement;
};

/**
 * No verb is at work on it, here or there, nor has been since the report, which could be of a pause that a resume has ended, or of a deadline
 * that a later one has replaced: it knows of the last verb, or is younger than that one's end. Of a verb that never reached the runner it
 * never knows.
 */
const isSteady = (report: ObservedSandbox, row: RecordedSandbox, earlier: RecordedSandbox | undefined): boolean =>
  report.changing !== true &&
  row.openJob === null &&
  (report.revision >= row.revision ||
    (earlier?.epoch === row.epoch && earlier.revision === row.revision && earlier.openJob === null));

const overdue = (row: RecordedSandbox, nowMs: number): boolean =>
  row.openJobDeadlineMs !== null && row.openJobDeadlineMs < nowMs;

const movedMuch = (recordedMs: number | null, reportedMs: number): boolean =>
  recordedMs === null || Math.abs(recordedMs - reportedMs) >= DEADLINE_CHANGE_MS;

/** Above all that the runner has seen, or it would take the kill for a repeat. */
const revisionAbove = (report: ObservedSandbox, row: RecordedSandbox | undefined): number =>
  Math.max(report.revision, row?.revision ?? 0) + 1;

/**
 * The rows that the runner should report and doesn't. `startedBeforeMs`: when the report was made; younger rows are not missing. Only
 * what is missing in two reports in a row is lost (`before`: the ids of the last time).
 */
export const judgeMissing = (
  rows: Iterable<RecordedSandbox>,
  observed: readonly ObservedSandbox[],
  startedBeforeMs: number,
  before: ReadonlySet<string>,
): { missing: Set<string>; lost: RecordedSandbox[] } => {
  const reported = new Set(observed.map(({ sandboxId, epoch }) => `${sandboxId}/${epoch}`));
  const absent = [...rows].filter(
    (row) =>
      (row.state === 'running' || row.state === 'paused') &&
      row.startedAtMs !== null &&
      row.startedAtMs < startedBeforeMs &&
      !reported.has(`${row.id}/${row.epoch}`),
  );
  return { missing: new Set(absent.map((row) => row.id)), lost: absent.filter((row) => before.has(row.id)) };
};

/** Of a job whose caller is gone: what the runner's state says became of it, or that it has to be delivered again. */
export const judgeOpenJob = (
  row: RecordedSandbox,
  observed: ObservedSandbox | undefined,
): 'settle_paused' | 'settle_running' | 'redeliver' | 'fail_create' | 'drop' => {
  const known = observed?.epoch === row.epoch && observed.revision >= row.revision ? observed.state : undefined;
  switch (row.openJob) {
    case 'create':
      return 'fail_create';
    case 'pause':
      return known === 'paused' ? 'settle_paused' : 'redeliver';
    case 'resume':
      return known === 'running' ? 'settle_running' : 'redeliver';
    case 'kill':
    // What the runner tells of itself doesn't show the rules; doing it again shows.
    case 'network':
      return 'redeliver';
    case 'deadline':
    case 'snapshot':
    case null:
      return 'drop';
    default:
      return row.openJob satisfies never;
  }
};

/** Whether silent ones of the runners that count may be taken for dead: not while half the cell is silent or Fleet itself has just begun to listen. */
export const mayDeclareLost = (runners: number, silent: number, listeningForMs: number, leaseMs: number): boolean =>
  silent * 2 <= runners && listeningForMs > leaseMs;
