/**
 * Bounds that both ends of the wire must agree on. A bound that only one side enforces lives with that side.
 * Units are the last word of each name.
 */
export const limits = {
  /** Payloads up to this size travel inside a job or an event; larger ones as two paired streams. */
  inlineBytes: 256 * 1024,
  /** The one exception to inlineBytes: a command string. */
  commandBytes: 1024 * 1024,
  argvCount: 4096,
  envCount: 512,
  envBytes: 256 * 1024,
  pathBytes: 4096,
  /** What the agent keeps of each process's output for readers that come late or come back. */
  ringBytes: 1024 * 1024,
  /** The largest data event; the agent splits what it reads. */
  dataEventBytes: 64 * 1024,
  /** Bytes a reader may be sent before it grants more. */
  channelCreditBytes: 256 * 1024,
  /** All of one Broker shard's channels together. */
  shardCreditBytes: 32 * 1024 * 1024,
  /** A foreground reader that grants nothing for this long is detached. */
  creditStallMs: 30_000,
  /** How long an ended process stays known, so that a late reader still gets its exit. */
  endedProcessTtlMs: 30_000,
  /** How long a piece of stdin waits for room, for a process that does not read; then it is refused, and nothing of it was taken. */
  stdinWaitMs: 8_000,
  /** Within this the runner answers a piece of stdin: longer than the agent, and the way to it, take. The edge waits longer yet. */
  stdinAnswerMs: 14_500,
  /** Silence after which an exited process's output counts as complete although a descendant holds the pipe. */
  exitQuietMs: 100,
  processesPerSandbox: 256,
  /** Of a listed process: how much of its argv and of its environment is shown, in characters. */
  listedArgvChars: 2048,
  listedEnvChars: 1024,
  /** Default and maximum of what one exec returns per output stream. */
  execOutputDefaultBytes: 1024 * 1024,
  execOutputMaxBytes: 16 * 1024 * 1024,
  /** An exec-queue job older than this (Redis TIME) is refused: its caller has been told 503. */
  startWithinMs: 5_000,
  /** After a process's deadline the runner ends the call by itself, whatever the agent says. */
  deadlineGraceMs: 2_000,
  lifecycleJobMs: 60_000,
  /** The one exception: a sandbox at its disk limit is read and sealed within this, on a node that is busy. */
  snapshotJobMs: 180_000,
  leaseMs: 15_000,
  heartbeatMs: 5_000,
  /** Streams in Redis expire when their reader is gone. */
  streamTtlMs: 60_000,
  streamRenewMs: 20_000,
  listEntries: 10_000,
  /** No path has more parts than this. */
  listDepth: 2048,
  composeSources: 1000,
  watchesPerSandbox: 64,
  /** Of one watcher, until they are fetched. */
  watcherEvents: 16_384,
  watcherEventBytes: 2 * 1024 * 1024,
  watcherIdleMinutes: 60,
  /** An extended attribute's name has 255 bytes at most, `user.e2b.` among them. */
  metadataKeyBytes: 246,
  /** Names and values of one file's metadata together; ext4 has room for so much. */
  metadataBytes: 4096,
  metadataKeys: 512,
  /** Of one request to a port and of its answer: request line or status, and headers, together. */
  portHeadBytes: 64 * 1024,
  portHeaders: 256,
  portTargetBytes: 16 * 1024,
  /** Connections into one sandbox at once, requests and WebSockets together. */
  portConnectionsPerSandbox: 256,
  portSocketsPerSandbox: 64,
  portConnectionsPerTenantAndNode: 1024,
  /** A request to a port on which nothing moves for this long is cut. */
  portIdleMs: 620_000,
  /** One WebSocket message, either way. */
  socketMessageBytes: 1024 * 1024,
  uploadPartBytes: 64 * 1024 * 1024,
  uploadParts: 10_000,
  historyCommandBytes: 16 * 1024,
  /** What each sandbox used is kept for an hour. */
  usageIntervalMs: 5_000,
  usageSamples: 720,
  /** Of each of a sandbox's two lists. Every packet that it sends is held against all of them. */
  egressAddresses: 64,
} as const;
