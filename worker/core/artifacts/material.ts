import { and, eq, isNull } from 'drizzle-orm';
import { artifacts, disks, tenants, type Artifact } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { AdminContext, Context } from '../ports.ts';
import { readMaterial, signMaterial } from './material-token.ts';

/** How long a public URL may be good for. */
export const materialMaxSeconds = 7 * 24 * 3600;

interface OpenedMaterial {
  artifact: Artifact;
  tenantId: string;
  expiresAtMs: number;
}

/**
 * Whoever has the token may read this artifact, which the caller has just looked up, until then: what it holds at that time, overwritten or
 * moved though it may be. It costs no row, and can only be taken back by deleting the artifact. Longer than materialMaxSeconds is cut to it.
 * Throws invalid_argument for a time that is not positive.
 */
export const createMaterial = async (
  ctx: Context,
  artifact: Pick<Artifact, 'id'>,
  expiresSeconds: number,
): Promise<{ token: string; expiresAtMs: number }> => {
  if (!(expiresSeconds > 0)) {
    throw new ServiceError('invalid_argument', `A URL is good for 1 to ${materialMaxSeconds} seconds.`);
  }
  const goodForSeconds = Math.min(Math.max(expiresSeconds, 1), materialMaxSeconds);
  const expiresAtSeconds = Math.ceil(ctx.now() / 1000 + goodForSeconds);
  const token = await signMaterial(ctx.signer, { artifactId: artifact.id, expiresAtSeconds });
  return { token, expiresAtMs: expiresAtSeconds * 1000 };
};

/** What a token leads to. Malformed, forged, expired, deleted, of a suspended tenant: one answer, not_found. */
export const openMaterial = async (ctx: AdminContext, token: string): Promise<OpenedMaterial> => {
  const material = await readMaterial(ctx.signer, token);
  const expiresAtMs = (material?.expiresAtSeconds ?? 0) * 1000;
  if (!material || expiresAtMs <= ctx.now()) throw materialNotFound();
  const [found] = await ctx.directory
    .select({ artifact: artifacts, tenantId: tenants.id })
    .from(artifacts)
    .innerJoin(disks, eq(disks.id, artifacts.diskId))
    .innerJoin(tenants, eq(tenants.id, disks.tenantId))
    .where(and(eq(artifacts.id, material.artifactId), isNull(tenants.suspendedAtMs)))
    .limit(1);
  if (!found) throw materialNotFound();
  return { ...found, expiresAtMs };
};

const materialNotFound = (): ServiceError => new ServiceError('not_found', 'material not found');
