import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'drizzle-orm';
import { SQLiteSyncDialect } from 'drizzle-orm/sqlite-core';
import { expect, test } from 'vitest';
import { usage } from '../../worker/core/sandboxes/quota.ts';

const nowMs = 1_800_000_000_000;

interface Row {
  tenant?: string;
  state?: string;
  openJob?: string | null;
  deadlineMode?: string;
  expiresAtMs?: number | null;
  onTimeout?: string;
  memoryFreed?: 0 | 1 | null;
}

/** What a tenant uses when these rows are all there are, by the SQL that guards every create. */
const used = (rows: readonly Row[]) => {
  const database = new DatabaseSync(':memory:');
  const folder = join(import.meta.dirname, '../../db/migrations/cell');
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.sql'))) {
    database.exec(readFileSync(join(folder, name), 'utf8').replaceAll('--> statement-breakpoint', ''));
  }
  const insert = database.prepare(
    `insert into sandboxes (id, tenant_id, template, image, state, epoch, revision, last_op, open_job, network, cpus, memory_mib,
      deadline_mode, ttl_ms, expires_at_ms, metadata, env, created_at_ms, on_timeout, memory_freed)
     values (?, ?, 'base', 'image', ?, 1, 1, 'op', ?, 'off', 1.5, 256, ?, 1000, ?, '{}', '{}', 0, ?, ?)`,
  );
  for (const [index, row] of rows.entries()) {
    const { tenant = 'own', state = 'running', openJob = null, deadlineMode = 'fixed', expiresAtMs = nowMs + 1 } = row;
    const { onTimeout = 'kill', memoryFreed = null } = row;
    insert.run(`sandbox-${index}`, tenant, state, openJob, deadlineMode, expiresAtMs, onTimeout, memoryFreed);
  }
  const query = sql`select used.n, used.cpus, used.memory from ${usage('own', nowMs)}`;
  const built = new SQLiteSyncDialect().sqlToQuery(query);
  const counted = database.prepare(built.sql).get(...(built.params as (string | number)[]));
  database.close();
  return { ...counted };
};

test('what is creating, running or paused counts, for its own tenant only', () => {
  const rows = [
    { state: 'creating' },
    { state: 'running' },
    { state: 'paused' },
    { tenant: 'other' },
    { state: 'ended' },
  ];
  expect(used(rows)).toEqual({ n: 3, cpus: 4.5, memory: 768 });
  expect(used([])).toEqual({ n: 0, cpus: 0, memory: 0 });
});

test('a row long past its fixed deadline reads as ended and does not count', () => {
  expect(used([{ expiresAtMs: nowMs - 60_000 }])).toMatchObject({ n: 0 });
});

test('a row counts while its end is not certain: just past, idle, paused or to be, without a deadline, or with an open job', () => {
  const past = nowMs - 60_000;
  const rows = [
    { expiresAtMs: nowMs - 1_000 },
    { expiresAtMs: past, deadlineMode: 'idle' },
    { expiresAtMs: past, state: 'paused' },
    { expiresAtMs: past, openJob: 'deadline' },
    { expiresAtMs: past, onTimeout: 'pause' },
    { expiresAtMs: null },
  ];
  expect(used(rows)).toMatchObject({ n: rows.length });
});

test('memory that a pause gave back does not count, until it is asked for again', () => {
  expect(used([{ state: 'paused', memoryFreed: 0 }])).toEqual({ n: 1, cpus: 1.5, memory: 256 });
  expect(used([{ state: 'paused', memoryFreed: 1 }])).toEqual({ n: 1, cpus: 1.5, memory: 0 });
  expect(used([{ state: 'paused', memoryFreed: 1, openJob: 'resume' }])).toEqual({ n: 1, cpus: 1.5, memory: 256 });
  expect(used([{ state: 'running', memoryFreed: null }])).toMatchObject({ memory: 256 });
});
