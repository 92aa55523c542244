import { eq } from 'drizzle-orm';
import type { CellDb } from '../../db/client.ts';
import { runners, type Runner } from '../../db/cell.ts';
import { redisUserName } from '../../runner/protocol/redis-acl.ts';
import { ServiceError } from '../core/errors.ts';
import type { Keyring } from '../core/keys/keyring.ts';

/** How long a runner that left stays accepted in an isolate that didn't see it leave. */
const CACHED_MS = 30_000;
const CACHED_RUNNERS = 10_000;

export const unauthenticated = (): ServiceError =>
  new ServiceError('unauthenticated', 'These credentials are not accepted here.');

export const bearerOf = (request: Request): string => {
  const [, token] = /^Bearer ([\x21-\x7e]{1,256})$/.exec(request.headers.get('authorization') ?? '') ?? [];
  if (token === undefined) throw unauthenticated();
  return token;
};

/** Equal length by hashing first, so that the comparison tells nothing by its time. */
export const equalSecrets = async (a: string, b: string): Promise<boolean> => {
  const digest = (text: string) => crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  const [left, right] = await Promise.all([digest(a), digest(b)]);
  return crypto.subtle.timingSafeEqual(left, right);
};

/** Whose secret it is. Secrets are stored as HMAC digests only. */
export class RunnerCredentials {
  readonly #keyring: Keyring;
  readonly #cached = new Map<string, { runner: Runner; readAtMs: number }>();

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  digest(secret: string): Promise<string> {
    return this.#keyring.digest(`runner/${secret}`);
  }

  /** Follows from what is on record, so that the user can be made again after Redis forgot it. */
  redisPassword(runnerId: string, secretDigest: string): Promise<string> {
    return this.#keyring.digest(`redis/${runnerId}/${secretDigest}`);
  }

  async redisUrl(adminUrl: string, runnerId: string, secretDigest: string): Promise<string> {
    const url = new URL(adminUrl);
    url.username = redisUserName(runnerId);
    url.password = await this.redisPassword(runnerId, secretDigest);
    return url.toString();
  }

  /** Throws unauthenticated, also for another runner's id. */
  async authenticate(db: CellDb, request: Request, runnerId?: string): Promise<Runner> {
    const digest = await this.digest(bearerOf(request));
    const runner = await this.#find(db, digest);
    if (!runner || runner.status === 'left' || (runnerId !== undefined && runner.id !== runnerId))
      throw unauthenticated();
    return runner;
  }

  async #find(db: CellDb, digest: string): Promise<Runner | undefined> {
    const cached = this.#cached.get(digest);
    if (cached && Date.now() - cached.readAtMs < CACHED_MS) return cached.runner;
    this.#cached.delete(digest);
    const [runner] = await db.select().from(runners).where(eq(runners.secretDigest, digest)).limit(1);
    if (!runner) return undefined;
    if (this.#cached.size >= CACHED_RUNNERS) this.#cached.clear();
    this.#cached.set(digest, { runner, readAtMs: Date.now() });
    return runner;
  }

  forget(runnerId: string): void {
    for (const [digest, { runner }] of this.#cached) if (runner.id === runnerId) this.#cached.delete(digest);
  }
}
