import { z } from 'zod';
import { endReasons } from './end-reasons.ts';
import { bootId, runnerId, sandboxId } from './ids.ts';
import { limits } from './limits.ts';
import { networkModes } from './jobs.ts';

/** POST /internal/runners/join, with the join token as bearer. A runner that has joined before sends its id and secret again. */
export const joinRequest = z.object({
  name: z.string().min(1).max(128),
  installationId: z.string().regex(/^[0-9a-f]{12}$/),
  previous: z.object({ runnerId, secret: z.string().max(128) }).optional(),
});
export type JoinRequest = z.infer<typeof joinRequest>;
export const joinAnswer = z.object({
  runnerId,
  /** Bearer for everything else under /internal. */
  secret: z.string(),
  /** A Redis user that can reach this runner's queues and streams only. */
  redisUrl: z.string(),
  cell: z.string(),
});
export type JoinAnswer = z.infer<typeof joinAnswer>;

export type EndReason = (typeof endReasons)[number];

/** A sandbox as its runner sees it. */
export const observedSandbox = z.object({
  sandboxId,
  epoch: z.int().min(1),
  revision: z.int().min(0),
  state: z.enum(['creating', 'running', 'paused', 'ended']),
  expiresAtMs: z.number().nullable(),
  /** A lifecycle job of this revision is under way: what is told of the state may be over by the time it is read. */
  changing: z.boolean().optional(),
  /** Only with state paused: whether processes go on afterwards, and whether their memory was given back. */
  memoryKept: z.boolean().optional(),
  memoryFreed: z.boolean().optional(),
  /** Only with state ended; repeated until acknowledged. */
  endReason: z.enum(endReasons).optional(),
  endedAtMs: z.number().optional(),
});
export type ObservedSandbox = z.infer<typeof observedSandbox>;

export const execRecord = z.object({
  processId: z.string(),
  command: z.string().max(limits.historyCommandBytes),
  startedAtMs: z.number(),
  durationMs: z.number().nullable(),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  reason: z.string(),
});
export type ExecRecord = z.infer<typeof execRecord>;

/** What one beat tells of; a runner has no more than this at once. */
export const beatSandboxesMax = 4096;

/**
 * What a pause that keeps processes does with their memory. none: there is no such pause. freeze: it stays in use. criu, gvisor: it goes to
 * disk, by those means.
 */
export const checkpointCapabilities = ['none', 'freeze', 'criu', 'gvisor'] as const;
export type CheckpointCapability = (typeof checkpointCapabilities)[number];

/** POST /internal/runners/:id/heartbeat every heartbeatMs. */
export const heartbeat = z.object({
  boot: bootId,
  /** Counts this boot's beats. */
  sequence: z.int().min(0),
  /** The last of them that was answered before this one was made: whatever was read for it is older than what is told here. */
  answered: z.int().min(0).optional(),
  draining: z.boolean(),
  region: z.string().max(64),
  /** What runs the containers, as the node’s engine calls it. */
  runtime: z.string().min(1).max(64),
  checkpoint: z.enum(checkpointCapabilities),
  cpus: z.number(),
  memoryMiB: z.int(),
  memoryAvailableMiB: z.int(),
  diskAvailableMiB: z.int(),
  sandboxLimit: z.int(),
  /** Whether sandboxes with network on can be run: the deny rules are in place. */
  networks: z.array(z.enum(networkModes)),
  warm: z.array(z.object({ template: z.string(), network: z.enum(networkModes), count: z.int().min(0) })).max(256),
  sandboxes: z.array(observedSandbox).max(beatSandboxesMax),
  history: z.array(z.object({ sandboxId, records: z.array(execRecord).max(200) })).max(200),
});
export type Heartbeat = z.infer<typeof heartbeat>;

export const heartbeatAnswer = z.object({
  /** Ended sandboxes whose end is now on record: the runner may forget them (tombstones apart). */
  recorded: z.array(z.object({ sandboxId, epoch: z.int() })),
  /** To be removed: the state of record says that they should not be there. */
  kill: z.array(z.object({ sandboxId, epoch: z.int(), revision: z.int() })),
  /** What the warm pool should hold. */
  pool: z.array(
    z.object({
      template: z.string(),
      image: z.string(),
      network: z.enum(networkModes),
      count: z.int().min(0).max(256),
    }),
  ),
});
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswer>;
