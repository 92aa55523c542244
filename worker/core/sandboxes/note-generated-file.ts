import { sql } from 'drizzle-orm';
import { generatedFiles, sandboxes } from '../../../db/cell.ts';
import type { Context } from '../ports.ts';

/** Of one sandbox; the oldest go first. */
const filesCount = 1_000;

/** A file of the sandbox has come onto a disk: its history tells of it. `path` is absolute. Another tenant's sandbox is left alone. */
export const noteGeneratedFile = async (ctx: Context, sandboxId: string, path: string): Promise<void> => {
  const insert = ctx.cell.insert(generatedFiles).select(
    sql`select null, ${sandboxId}, ${ctx.now()}, ${path}
      where exists (select 1 from ${sandboxes} where ${sandboxes.id} = ${sandboxId} and ${sandboxes.tenantId} = ${ctx.actor.tenant.id})`,
  );
  const surplus = sql`(select id from ${generatedFiles} where ${generatedFiles.sandboxId} = ${sandboxId}
    order by id desc limit -1 offset ${filesCount})`;
  const trim = ctx.cell.delete(generatedFiles).where(sql`${generatedFiles.id} in ${surplus}`);
  await ctx.cell.batch([insert, trim]);
};
