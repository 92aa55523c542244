import { z } from 'zod';

const flag = z.enum(['true', 'false', '1', '0', '']).transform((text) => text === 'true' || text === '1');

/** A boolean as the SDKs write it into a query. */
export const queryFlag = (absent: boolean) => flag.optional().transform((value) => value ?? absent);

/** Oldest first unless time_desc. `limit`: 1 to 200, 20 when absent. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(20),
  cursor: z
    .string()
    .max(512)
    .optional()
    .transform((cursor) => (cursor === '' ? undefined : cursor)),
  time_desc: queryFlag(false),
});

/** The cursor's key is left out on the last page. */
export const viewPage = <T>(items: readonly T[], nextCursor: string | null) => ({
  items,
  ...(nextCursor === null ? {} : { next_cursor: nextCursor }),
  has_more: nextCursor !== null,
});
