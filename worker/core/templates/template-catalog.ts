import { asc } from 'drizzle-orm';
import { templates, type Template } from '../../../db/directory.ts';
import type { DirectoryDb } from '../../../db/client.ts';
import { ServiceError } from '../errors.ts';

const cachedForMs = 30_000;

/** The templates, read at most every cachedForMs: every create looks one up. */
export class TemplateCatalog {
  #templates: readonly Template[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;
  #generation = 0;

  async list(directory: DirectoryDb, nowMs: number): Promise<readonly Template[]> {
    if (nowMs - this.#readAtMs < cachedForMs) return this.#templates;
    const generation = this.#generation;
    const read = await directory.select().from(templates).orderBy(asc(templates.name));
    // What was read while it changed may be old: good for this answer, not for keeping.
    if (generation === this.#generation) {
      this.#templates = read;
      this.#readAtMs = nowMs;
    }
    return read;
  }

  /** They have changed: the next question reads them anew. */
  forget(): void {
    this.#readAtMs = Number.NEGATIVE_INFINITY;
    this.#generation += 1;
  }

  async get(directory: DirectoryDb, name: string, nowMs: number): Promise<Template> {
    const known = await this.list(directory, nowMs);
    const template = known.find((candidate) => candidate.name === name);
    if (template) return template;
    throw new ServiceError('invalid_argument', 'There is no such template. GET /v1/templates lists those there are.', {
      issues: [{ path: 'template', message: 'unknown template' }],
    });
  }
}
