/** RFC 3339 in UTC with milliseconds, from Unix milliseconds. */
export const timestampOf = (unixMs: number): string => new Date(unixMs).toISOString();

export const timestampOrNull = (unixMs: number | null): string | null => (unixMs === null ? null : timestampOf(unixMs));
