export const snapshotLimits = {
  /** Of a tenant, with those that were deleted and not swept yet. */
  count: 1000,
  /** A snapshot that is not whole by then is given up. */
  makingMs: 40 * 60_000,
  /** Of the URLs of an upload's parts. */
  uploadUrlSeconds: 30 * 60,
  /** Of the URL that a node fetches one by. */
  downloadUrlSeconds: 10 * 60,
  /** A deleted one's bytes stay for so long: nobody can still be fetching them then. */
  deletedMs: 15 * 60_000,
  /** Sandboxes of one fork that are made at once. */
  forksAtOnce: 4,
  forksCount: 100,
} as const;
