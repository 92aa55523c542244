export const limits = {
  portMax: 65_535,
  /** Where a sandbox's files, processes and metadata are served. No server inside is asked for it. */
  envdPort: 49_983,
  /** Of a preview URL. */
  previewMaxSeconds: 7 * 24 * 3600,
  previewDefaultSeconds: 3600,
  /** How long a request waits for a paused sandbox to run again. */
  wakeMs: 30_000,
  wakePollMs: 100,
  /** Requests to ports and WebSockets, each a job on a node: of one sandbox, whoever makes them, and of all of a tenant's. */
  portRequestsPerSecond: 500,
  portRequestsPerTenantAndSecond: 2000,
  /** Attempts to wake one sandbox. */
  wakesPerSecond: 1,
} as const;
