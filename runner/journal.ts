import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { z } from 'zod';
import { deadlineModes, sandboxOutcome, timeoutActions, type SandboxOutcome } from './protocol/jobs.ts';
import { egressRules } from './protocol/egress.ts';
import { endReasons } from './protocol/end-reasons.ts';
import { runnerFault, type RunnerFault } from './protocol/errors.ts';
import { rests } from './sandboxes/sandbox.ts';

/**
 * What must outlive this process: which container is which sandbox, its fences and its deadline, and what was answered to
 * which revision.
 *
 * WAL with synchronous=NORMAL: a commit is a write() into the page cache without an fsync, some tens of microseconds. The
 * cache survives kill -9 of this process, which is the crash that adoption is for. It doesn't survive a power cut, but then the
 * containers that the last rows speak of are dead too; WAL keeps the file consistent, merely some rows older.
 */
export interface Journal {
  identity(): { runnerId: string; secret: string } | undefined;
  saveIdentity(identity: { runnerId: string; secret: string }): void;
  sandboxes(): JournalRow[];
  save(row: JournalRow): void;
  forget(sandboxId: string): void;
  /** For an agent that begins anew, and for who asks what it was created with. Gone with the sandbox's end. */
  environment(sandboxId: string): Environment;
  saveEnvironment(sandboxId: string, environment: Environment): void;
  forgetEnvironment(sandboxId: string): void;
  outcome(sandboxId: string, epoch: number, revision: number): RecordedOutcome | undefined;
  recordOutcome(sandboxId: string, epoch: number, revision: number, outcome: RecordedOutcome): void;
  /** The processes of a sandbox that have a deadline of their own. */
  processes(sandboxId: string): ProcessRow[];
  saveProcess(sandboxId: string, row: ProcessRow): void;
  forgetProcess(sandboxId: string, processId: string): void;
  /** Drops tombstones and outcomes of sandboxes that ended, and were recorded as ended, before `wallMs`. */
  sweep(wallMs: number): void;
  close(): void;
}

export interface ProcessRow {
  processId: string;
  /** CLOCK_MONOTONIC; outlived by no container that it is about. */
  deadlineMonotonicMs: number;
}

export type RecordedOutcome = { ok: true; value: SandboxOutcome } | { ok: false; fault: RunnerFault };

const row = z.object({
  sandboxId: z.string(),
  tenantId: z.string(),
  epoch: z.int(),
  revision: z.int(),
  state: z.enum(['creating', 'running', 'paused', 'ended']),
  /** Absent in rows of an earlier version, which knew one way to pause and one to time out. */
  rest: z.enum(rests).nullable().default(null),
  onTimeout: z.enum(timeoutActions).default('kill'),
  keepMemory: z.boolean().default(true),
  containerId: z.string().nullable(),
  slot: z.string().nullable(),
  cpus: z.number(),
  memoryMiB: z.int(),
  /** In force again before the next life takes a job. */
  egress: egressRules.default({ allow: [], deny: [] }),
  /** CLOCK_MONOTONIC, valid on the machine boot `kernelBoot`. Running: the deadline. Paused: when the pause ends the sandbox. */
  expiresAtMonotonicMs: z.number().nullable(),
  kernelBoot: z.string(),
  deadlineMode: z.enum(deadlineModes),
  ttlMs: z.number(),
  pausedTtlMs: z.number(),
  /** The same moment by the wall clock, for what outlives a boot: the files of a stopped container. */
  expiresAtWallMs: z.number().nullable().default(null),
  endReason: z.enum(endReasons).nullable(),
  endedAtMs: z.number().nullable(),
  /** Whether the control plane has the end on record. */
  recorded: z.boolean(),
});
export type JournalRow = z.infer<typeof row>;

const recordedOutcome = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), value: sandboxOutcome }),
  z.object({ ok: z.literal(false), fault: runnerFault }),
]);

/** Each entry brings a journal from its index's version to the next. What has landed is never edited. */
const MIGRATIONS = [
  `
  CREATE TABLE identity (one INTEGER PRIMARY KEY CHECK (one = 1), runner_id TEXT NOT NULL, secret TEXT NOT NULL) STRICT;
  CREATE TABLE sandbox (sandbox_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE outcome (
    sandbox_id TEXT NOT NULL, epoch INTEGER NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (sandbox_id, epoch, revision)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX outcome_at ON outcome (at_ms);
  `,
  `
  CREATE TABLE process (
    sandbox_id TEXT NOT NULL, process_id TEXT NOT NULL, deadline_monotonic_ms REAL NOT NULL,
    PRIMARY KEY (sandbox_id, process_id)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE environment (sandbox_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
  `,
];

/** Of all that runs in a sandbox: its image's variables, which those that it was created with outrank. */
const environment = z.object({
  image: z.record(z.string(), z.string()),
  own: z.record(z.string(), z.string()),
});
export type Environment = z.infer<typeof environment>;

export const variablesOf = ({ image, own }: Environment): Record<string, string> => ({ ...image, ...own });

/** Readable by its owner alone, as tenants' environments are in it. */
export function openJournal(path: string): Journal {
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000;');
  migrate(database);
  return new SqliteJournal(database);
}

function migrate(database: DatabaseSync): void {
  const found = database.prepare('PRAGMA user_version').get();
  const version = Number(found?.['user_version'] ?? 0);
  if (version > MIGRATIONS.length) {
    throw new Error(`The journal has schema ${version}; this runner knows ${MIGRATIONS.length}.`);
  }
  const missing = MIGRATIONS.slice(version).join('');
  database.exec(`BEGIN; ${missing} PRAGMA user_version = ${MIGRATIONS.length}; COMMIT;`);
}

class SqliteJournal implements Journal {
  readonly #database: DatabaseSync;
  readonly #save: StatementSync;
  readonly #findOutcome: StatementSync;
  readonly #recordOutcome: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#save = database.prepare(
      'INSERT INTO sandbox (sandbox_id, body) VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body',
    );
    this.#findOutcome = database.prepare(
      'SELECT body FROM outcome WHERE sandbox_id = ? AND epoch = ? AND revision = ?',
    );
    this.#recordOutcome = database.prepare(
      'INSERT INTO outcome (sandbox_id, epoch, revision, body, at_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    );
  }

  identity(): { runnerId: string; secret: string } | undefined {
    const found = this.#database.prepare('SELECT runner_id, secret FROM identity').get();
    return found && { runnerId: String(found['runner_id']), secret: String(found['secret']) };
  }

  saveIdentity(identity: { runnerId: string; secret: string }): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO identity (one, runner_id, secret) VALUES (1, ?, ?)')
      .run(identity.runnerId, identity.secret);
  }

  sandboxes(): JournalRow[] {
    const found = this.#database.prepare('SELECT body FROM sandbox').all();
    return found.map(({ body }) => row.parse(JSON.parse(String(body))));
  }

  save(sandbox: JournalRow): void {
    this.#save.run(sandbox.sandboxId, JSON.stringify(sandbox));
  }

  forget(sandboxId: string): void {
    this.#database.prepare('DELETE FROM sandbox WHERE sandbox_id = ?').run(sandboxId);
    this.#database.prepare('DELETE FROM outcome WHERE sandbox_id = ?').run(sandboxId);
    this.#database.prepare('DELETE FROM process WHERE sandbox_id = ?').run(sandboxId);
    this.forgetEnvironment(sandboxId);
  }

  processes(sandboxId: string): ProcessRow[] {
    const found = this.#database
      .prepare('SELECT process_id, deadline_monotonic_ms FROM process WHERE sandbox_id = ?')
      .all(sandboxId);
    return found.map((values) => ({
      processId: String(values['process_id']),
      deadlineMonotonicMs: Number(values['deadline_monotonic_ms']),
    }));
  }

  saveProcess(sandboxId: string, { processId, deadlineMonotonicMs }: ProcessRow): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO process (sandbox_id, process_id, deadline_monotonic_ms) VALUES (?, ?, ?)')
      .run(sandboxId, processId, deadlineMonotonicMs);
  }

  forgetProcess(sandboxId: string, processId: string): void {
    this.#database.prepare('DELETE FROM process WHERE sandbox_id = ? AND process_id = ?').run(sandboxId, processId);
  }

  environment(sandboxId: string): Environment {
    const found = this.#database.prepare('SELECT body FROM environment WHERE sandbox_id = ?').get(sandboxId);
    return found ? environment.parse(JSON.parse(String(found['body']))) : { image: {}, own: {} };
  }

  saveEnvironment(sandboxId: string, variables: Environment): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO environment (sandbox_id, body) VALUES (?, ?)')
      .run(sandboxId, JSON.stringify(variables));
  }

  forgetEnvironment(sandboxId: string): void {
    this.#database.prepare('DELETE FROM environment WHERE sandbox_id = ?').run(sandboxId);
  }

  outcome(sandboxId: string, epoch: number, revision: number): RecordedOutcome | undefined {
    const found = this.#findOutcome.get(sandboxId, epoch, revision);
    return found && recordedOutcome.parse(JSON.parse(String(found['body'])));
  }

  recordOutcome(sandboxId: string, epoch: number, revision: number, outcome: RecordedOutcome): void {
    this.#recordOutcome.run(sandboxId, epoch, revision, JSON.stringify(outcome), Date.now());
  }

  sweep(wallMs: number): void {
    this.#database
      .prepare(
        `DELETE FROM sandbox WHERE body ->> 'state' = 'ended' AND body ->> 'recorded' = 1 AND body ->> 'endedAtMs' < ?`,
      )
      .run(wallMs);
    this.#database
      .prepare('DELETE FROM outcome WHERE at_ms < ? AND sandbox_id NOT IN (SELECT sandbox_id FROM sandbox)')
      .run(wallMs);
    this.#database.exec('DELETE FROM process WHERE sandbox_id NOT IN (SELECT sandbox_id FROM sandbox)');
    this.#database.exec('DELETE FROM environment WHERE sandbox_id NOT IN (SELECT sandbox_id FROM sandbox)');
  }

  close(): void {
    this.#database.close();
  }
}
