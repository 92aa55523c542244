import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The part of D1 that migrations use, as Miniflare hands it out. */
export interface MigrationDatabase {
  prepare(sql: string): MigrationStatement;
  batch(statements: MigrationStatement[]): Promise<unknown>;
}
export interface MigrationStatement {
  bind(...values: unknown[]): MigrationStatement;
  all(): Promise<{ results: Record<string, unknown>[] }>;
}

/** The table that `wrangler d1 migrations apply` keeps, so that both ways agree on what was applied. */
const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

/** Applies the folder's migrations that the database does not have yet, each as one batch; returns their names. */
export async function applyMigrations(database: MigrationDatabase, folder: string): Promise<string[]> {
  await database.batch([database.prepare(CREATE_TABLE)]);
  const { results } = await database.prepare('SELECT name FROM d1_migrations').all();
  const applied = new Set(results.map((row) => row['name']));
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql') && !applied.has(name)).toSorted();
  for (const name of names) {
    const content = await readFile(join(folder, name), 'utf8');
    const statements = content.split('--> statement-breakpoint').map((sql) => sql.trim());
    await database.batch([
      ...statements.filter((sql) => sql !== '').map((sql) => database.prepare(sql)),
      database.prepare('INSERT INTO d1_migrations (name) VALUES (?)').bind(name),
    ]);
  }
  return names;
}
