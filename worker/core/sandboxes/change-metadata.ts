import { and, sql } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';
import { allows, refusalOf } from '../sandbox-state.ts';
import { changeSandbox } from './change-sandbox.ts';
import { getSandbox } from './get-sandbox.ts';
import { whenAllowed } from './open-job.ts';
import { requireSandboxId } from './sandbox-not-found.ts';

const metadataPairsCount = 64;

/** A merge patch (RFC 7396): null removes a key, keys that are not named stay. Applied by the database, so that two patches both hold. */
export const changeMetadata = async (
  ctx: Context,
  sandboxId: string,
  patch: Record<string, string | null>,
): Promise<Sandbox> => {
  const merged = sql`json_patch(${sandboxes.metadata}, ${JSON.stringify(patch)})`;
  const changed = await changeSandbox(ctx, {
    sandboxId: requireSandboxId(sandboxId),
    when: and(whenAllowed(ctx, 'metadata'), sql`(select count(*) from json_each(${merged})) <= ${metadataPairsCount}`),
    set: { metadata: merged },
    event: { kind: 'metadata', message: 'Metadata changed.' },
  });
  if (changed) return changed;
  const row = await getSandbox(ctx, sandboxId);
  if (!allows('metadata', row)) throw refusalOf('metadata', row);
  throw new ServiceError('invalid_argument', `A sandbox has at most ${metadataPairsCount} metadata pairs.`);
};
