import { and, eq, ne } from 'drizzle-orm';
import { sandboxes } from '../../../db/cell.ts';
import type { Services } from '../ports.ts';

/** Ids of all that live and whose envd surface asks for a token; undefined where there are more than `max`. */
export const listSecuredSandboxes = async (
  { cell }: Pick<Services, 'cell'>,
  max: number,
): Promise<string[] | undefined> => {
  const rows = await cell
    .select({ id: sandboxes.id })
    .from(sandboxes)
    .where(and(ne(sandboxes.state, 'ended'), eq(sandboxes.envdOpen, false)))
    .limit(max + 1);
  return rows.length > max ? undefined : rows.map(({ id }) => id);
};
