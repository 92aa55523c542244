/** What RFC 3339 can say: years 0 to 9999. */
const firstMs = Date.parse('0000-01-01T00:00:00.000Z');
const lastMs = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * RFC 3339 in UTC with milliseconds, from Unix milliseconds. What lies beyond is told as the nearest that can be: a sandbox's file may
 * bear any time at all (`touch -d @99999999999999`), and one must not spoil the list of its directory.
 */
export const timestampOf = (unixMs: number): string =>
  new Date(Math.min(Math.max(unixMs, firstMs), lastMs)).toISOString();

export const timestampOrNull = (unixMs: number | null): string | null => (unixMs === null ? null : timestampOf(unixMs));
