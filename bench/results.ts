import type { Summary } from './statistics.ts';

/** What `--json` prints: these keys and no others; one that was not measured (--only) is absent. Milliseconds, MiB, 10⁶ bytes/s. */
export interface Results {
  ttiMs?: Summary;
  burst50?: { ok: number; p50Ms: number; wallMs: number };
  execMs?: Summary;
  dockerExecMs?: { p50: number };
  dockerRunMs?: { p50: number };
  execPerSecond?: number;
  firstByteMs?: { p50: number };
  streamMBps?: number;
  uploadMBps?: number;
  downloadMBps?: number;
  /** On a disk of 10,000 artifacts: one's properties, one's content, a directory, a glob over a directory, one over all. */
  diskStatMs?: Summary;
  diskReadMs?: Summary;
  diskListMs?: Summary;
  diskGlobMs?: Summary;
  diskGlobAllMs?: Summary;
  /** Over 1,000 texts of 10 KB. */
  diskGrepMs?: { p50: number };
  /** Through npm `e2b`. */
  e2b?: E2bResults;
  idleSandboxMiB?: number;
  memoryMiB?: Record<string, number>;
}

/** Each through the SDK, whose own work is in it. */
export interface E2bResults {
  /** commands.run('true'), and what `docker exec` takes for the same command in the same minutes. */
  commandMs?: Summary;
  dockerExecMs?: { p50: number };
  /** Sandbox.create, the pool full before it, and `docker run` in the same minutes. */
  createMs?: Summary;
  dockerRunMs?: { p50: number };
  /** files.write and then files.read of 1 KB, both together. */
  smallFileMs?: Summary;
  /** files.read of 100 MB as a stream. */
  readMBps?: number;
  /** From a key to its echo, 50 terminals open and typed into at once. */
  ptyEchoMs?: Summary;
  /** A GET to a port of a sandbox. */
  portGetMs?: Summary;
}

/** What only the table tells. */
export interface Asides {
  healthzMs?: Summary;
  /** `true` as a string: bash runs it. */
  shellMs?: Summary;
  warmWaitMs?: Summary;
  /** Containers in a full pool. */
  poolSize?: number;
  warmCreates?: { warm: number; of: number };
  createMs?: Summary;
  /** Warm containers before the creates at once, at most as many as those. */
  burstWarm?: number;
  coldCreateMs?: { p50: number; count: number };
  refillsPerSecond?: number;
  throughputMs?: Summary;
  idle?: { count: number; containerMiB: number; shimMiB: number; nodeMiB: number };
  growthMiB: { what: string; byComponent: Record<string, number> }[];
  workerStartMs?: number;
  bundleKiB?: { raw: number; gzip: number };
  /** What was wrong, not slow: the benchmark ends with status 1. */
  failures: string[];
  /** Things that a reader of the numbers has to know. */
  notes: string[];
}

export interface Report {
  results: Results;
  asides: Asides;
}

export const emptyReport = (): Report => ({ results: {}, asides: { growthMiB: [], failures: [], notes: [] } });
