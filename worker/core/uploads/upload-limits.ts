/** Of uploads; how large parts may be and how many, the contract says. */
export const uploadLimits = {
  /** Of a tenant, at once. */
  open: 100,
  lifetimeMs: 24 * 3600_000,
  /** A part whose length is not told is held in memory. */
  untoldPartBytes: 8 * 1024 * 1024,
} as const;
