/** R2 takes parts from 5 MiB on, the last one excepted. */
export const uploadLimits = {
  partBytesMin: 5 * 1024 * 1024,
  partBytesMax: 64 * 1024 * 1024,
  parts: 10_000,
  /** Of a tenant, at once. */
  open: 100,
  lifetimeMs: 24 * 3600_000,
  /** A part whose length is not told is held in memory. */
  untoldPartBytes: 8 * 1024 * 1024,
} as const;
