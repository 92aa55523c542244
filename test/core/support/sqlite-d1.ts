import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';

/** As much of a D1 binding as drizzle uses, over SQLite in memory with the committed migrations: a batch is one transaction. */
class Statement {
  readonly #database: DatabaseSync;
  readonly #text: string;
  readonly #values: readonly SQLInputValue[];

  constructor(database: DatabaseSync, text: string, values: readonly SQLInputValue[] = []) {
    this.#database = database;
    this.#text = text;
    this.#values = values;
  }

  bind(...values: SQLInputValue[]): Statement {
    return new Statement(this.#database, this.#text, values);
  }

  execute() {
    const results = this.#database.prepare(this.#text).all(...this.#values);
    return { results, success: true, meta: {} };
  }

  async all() {
    return this.execute();
  }

  async run() {
    return this.execute();
  }

  async raw(): Promise<unknown[]> {
    const statement = this.#database.prepare(this.#text);
    statement.setReturnArrays(true);
    return statement.all(...this.#values);
  }
}

export class SqliteD1 {
  readonly #database = new DatabaseSync(':memory:');

  constructor(migrations: 'cell' | 'directory') {
    const folder = join(import.meta.dirname, '../../../db/migrations', migrations);
    for (const file of readdirSync(folder)
      .filter((name) => name.endsWith('.sql'))
      .toSorted()) {
      this.#database.exec(readFileSync(join(folder, file), 'utf8').replaceAll('--> statement-breakpoint', ''));
    }
  }

  prepare(text: string): Statement {
    return new Statement(this.#database, text);
  }

  async batch(statements: readonly Statement[]) {
    this.#database.exec('begin');
    try {
      const results = statements.map((statement) => statement.execute());
      this.#database.exec('commit');
      return results;
    } catch (error) {
      this.#database.exec('rollback');
      throw error;
    }
  }
}
