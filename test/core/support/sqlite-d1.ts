import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';

/** As much of a D1 binding as drizzle uses, over SQLite in memory with the committed migrations: a batch is one transaction. */
class Statement {
  readonly #owner: SqliteD1;
  readonly #text: string;
  readonly #values: readonly SQLInputValue[];

  constructor(owner: SqliteD1, text: string, values: readonly SQLInputValue[] = []) {
    this.#owner = owner;
    this.#text = text;
    this.#values = values;
  }

  bind(...values: SQLInputValue[]): Statement {
    return new Statement(this.#owner, this.#text, values);
  }

  execute() {
    const results = this.#owner.database.prepare(this.#text).all(...this.#values);
    return { results, success: true, meta: {} };
  }

  async all() {
    return this.#answer(() => this.execute());
  }

  async run() {
    return this.#answer(() => this.execute());
  }

  async raw(): Promise<unknown[]> {
    return this.#answer(() => {
      const statement = this.#owner.database.prepare(this.#text);
      statement.setReturnArrays(true);
      return statement.all(...this.#values);
    });
  }

  #answer<T>(work: () => T): T {
    return this.#text.startsWith('select') ? work() : this.#owner.write(work);
  }
}

export class SqliteD1 {
  readonly database = new DatabaseSync(':memory:');
  #losing: { done: boolean } | undefined;

  constructor(migrations: 'cell' | 'directory') {
    const folder = join(import.meta.dirname, '../../../db/migrations', migrations);
    for (const file of readdirSync(folder)
      .filter((name) => name.endsWith('.sql'))
      .toSorted()) {
      this.database.exec(readFileSync(join(folder, file), 'utf8').replaceAll('--> statement-breakpoint', ''));
    }
  }

  /** The next write is done, or is not, and its answer is lost either way. */
  loseNextAnswer(done: boolean): void {
    this.#losing = { done };
  }

  prepare(text: string): Statement {
    return new Statement(this, text);
  }

  async batch(statements: readonly Statement[]) {
    return this.write(() => this.#transaction(statements));
  }

  write<T>(work: () => T): T {
    const losing = this.#losing;
    this.#losing = undefined;
    if (losing === undefined) return work();
    if (losing.done) work();
    throw new Error('D1_ERROR: Network connection lost.');
  }

  #transaction(statements: readonly Statement[]) {
    this.database.exec('begin');
    try {
      const results = statements.map((statement) => statement.execute());
      this.database.exec('commit');
      return results;
    } catch (error) {
      this.database.exec('rollback');
      throw error;
    }
  }
}
