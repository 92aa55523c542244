/** A page of a list. The cursor's key is left out on the last one. */
export const viewPage = <T>(items: readonly T[], nextCursor: string | null) => ({
  items,
  ...(nextCursor === null ? {} : { next_cursor: nextCursor }),
  has_more: nextCursor !== null,
});
