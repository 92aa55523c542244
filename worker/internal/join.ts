import { toHex } from '../core/hex.ts';
import { and, eq } from 'drizzle-orm';
import type { CellDb } from '../../db/client.ts';
import { runners } from '../../db/cell.ts';
import type { JoinAnswer, JoinRequest } from '../../runner/protocol/node-report.ts';
import { ServiceError } from '../core/errors.ts';
import type { RunnerCredentials } from './runner-credentials.ts';

const hex = (bytes: number): string => toHex(crypto.getRandomValues(new Uint8Array(bytes)));

interface JoinParts {
  db: CellDb;
  credentials: RunnerCredentials;
  ensureUser(runnerId: string, password: string): Promise<void>;
  redisUrl: string;
  cell: string;
}

/** A runner that shows its previous secret stays who it was; every other becomes a new one. The join token was checked before. */
export const joinRunner = async (parts: JoinParts, request: JoinRequest, nowMs: number): Promise<JoinAnswer> => {
  const { db, credentials } = parts;
  const identity = (await returning(parts, request, nowMs)) ?? (await enrol(db, credentials, request, nowMs));
  const password = await credentials.redisPassword(identity.runnerId, identity.secretDigest);
  await parts.ensureUser(identity.runnerId, password);
  return {
    runnerId: identity.runnerId,
    secret: identity.secret,
    redisUrl: await credentials.redisUrl(parts.redisUrl, identity.runnerId, identity.secretDigest),
    cell: parts.cell,
  };
};

interface Identity {
  runnerId: string;
  secret: string;
  secretDigest: string;
}

const returning = async (
  { db, credentials }: JoinParts,
  request: JoinRequest,
  nowMs: number,
): Promise<Identity | undefined> => {
  if (!request.previous) return undefined;
  const { runnerId, secret } = request.previous;
  const secretDigest = await credentials.digest(secret);
  // Not a matter of timing: the digest is looked up, not compared.
  const [known] = await db
    .update(runners)
    .set({
      name: request.name,
      installationId: request.installationId,
      joinedAtMs: nowMs,
      status: 'online',
      seenAtMs: nowMs,
    })
    .where(and(eq(runners.id, runnerId), eq(runners.secretDigest, secretDigest)))
    .returning({ id: runners.id });
  credentials.forget(runnerId);
  return known ? { runnerId, secret, secretDigest } : undefined;
};

const enrol = async (
  db: CellDb,
  credentials: RunnerCredentials,
  request: JoinRequest,
  nowMs: number,
): Promise<Identity> => {
  const runnerId = hex(8);
  const secret = hex(32);
  const secretDigest = await credentials.digest(secret);
  const [row] = await db
    .insert(runners)
    .values({
      id: runnerId,
      name: request.name,
      installationId: request.installationId,
      secretDigest,
      joinedAtMs: nowMs,
      seenAtMs: nowMs,
      status: 'online',
    })
    .returning({ id: runners.id });
  if (!row) throw new ServiceError('internal', 'The runner could not be recorded.');
  return { runnerId, secret, secretDigest };
};
