import { eq } from 'drizzle-orm';
import type { CellDb } from '../../../db/client.ts';
import { sandboxes } from '../../../db/cell.ts';
import { ServiceError } from '../../core/errors.ts';
import type { Route, SandboxRef } from '../../core/ports.ts';

const ROUTES = 20_000;
/** A resume may have missed this shard: for so long a paused sandbox is answered from memory, then the record is asked. */
const PAUSED_FRESH_MS = 1_000;

export type LiveRoute = Route & { runnerId: string };

const newer = (route: Pick<Route, 'epoch' | 'revision'>, than: Pick<Route, 'epoch' | 'revision'>): boolean =>
  route.epoch !== than.epoch ? route.epoch > than.epoch : route.revision > than.revision;

/** One that runs is refuted by its runner, one that has ended stays so; of the rest nobody else tells that it runs now. */
const lasts = ({ route: { state }, asOfMs }: { route: Route; asOfMs: number }): boolean =>
  state === 'running' || state === 'ended' || (state === 'paused' && Date.now() - asOfMs < PAUSED_FRESH_MS);

/** sandbox → where it is. What verbs announce (`set`) is never replaced by an older read of the database. */
export class Routes {
  readonly #db: CellDb;
  readonly #known = new Map<string, { route: Route; asOfMs: number }>();
  /** Reads in flight, shared; an announcement that overtakes one keeps it from being stored. */
  readonly #reads = new Map<string, { overtaken: boolean; route: Promise<Route | undefined> }>();

  constructor(db: CellDb) {
    this.#db = db;
  }

  set(sandboxId: string, route: Route): void {
    const known = this.#known.get(sandboxId);
    if (known && newer(known.route, route)) return;
    const read = this.#reads.get(sandboxId);
    if (read) read.overtaken = true;
    this.#store(sandboxId, route);
  }

  forget(sandboxId: string): void {
    this.#known.delete(sandboxId);
  }

  /** Where to send a request; throws as the caller is to be told. */
  async resolve(ref: SandboxRef): Promise<LiveRoute> {
    const known = this.#known.get(ref.sandboxId);
    const route = known && lasts(known) ? known.route : await this.#read(ref.sandboxId);
    if (!route || route.tenantId !== ref.tenantId) throw new ServiceError('not_found', 'There is no such sandbox.');
    switch (route.state) {
      case 'ended':
        throw new ServiceError('sandbox_ended', 'The sandbox has ended.');
      case 'paused':
        throw new ServiceError('sandbox_not_running', 'The sandbox is paused. Resume it first.');
      case 'creating':
        throw new ServiceError('sandbox_not_running', 'The sandbox is still being created.', { retryAfterSeconds: 1 });
      case 'running': {
        const { runnerId } = route;
        if (runnerId === null) throw new ServiceError('sandbox_not_running', 'The sandbox has no runner.');
        return { ...route, runnerId };
      }
      default:
        return route.state satisfies never;
    }
  }

  #read(sandboxId: string): Promise<Route | undefined> {
    const current = this.#reads.get(sandboxId);
    if (current) return current.route;
    const read = { overtaken: false, route: this.#select(sandboxId) };
    this.#reads.set(sandboxId, read);
    return read.route
      .then((route) => {
        if (read.overtaken) return this.#known.get(sandboxId)?.route;
        if (route && route.state !== 'creating') this.#store(sandboxId, route);
        return route;
      })
      .finally(() => this.#reads.delete(sandboxId));
  }

  async #select(sandboxId: string): Promise<Route | undefined> {
    const [row] = await this.#db
      .select({
        tenantId: sandboxes.tenantId,
        runnerId: sandboxes.runnerId,
        epoch: sandboxes.epoch,
        revision: sandboxes.revision,
        state: sandboxes.state,
        deadlineMode: sandboxes.deadlineMode,
      })
      .from(sandboxes)
      .where(eq(sandboxes.id, sandboxId))
      .limit(1);
    return row;
  }

  /** Re-inserted, so that the oldest announcement is the first to go. */
  #store(sandboxId: string, route: Route): void {
    this.#known.delete(sandboxId);
    this.#known.set(sandboxId, { route, asOfMs: Date.now() });
    if (this.#known.size <= ROUTES) return;
    const oldest = this.#known.keys().next();
    if (!oldest.done) this.#known.delete(oldest.value);
  }
}
