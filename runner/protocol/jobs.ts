import { z } from 'zod';
import { channelId, requestId, sandboxId, tenantId } from './ids.ts';
import { attachment, processInfo, processSelector, processSpec } from './process.ts';
import { egressRules } from './egress.ts';
import { usageHistory, usageQuery } from './usage.ts';
import {
  snapshotId,
  snapshotLimits,
  snapshotKey,
  snapshotPart,
  snapshotSource,
  takenSnapshot,
  uploadedSnapshot,
} from './snapshots.ts';
import { fileCall, fileRead, fileWatch, fileWrite } from './files.ts';
import { portRequest, webSocketProtocols } from './ports.ts';

/** Where the answers go: one channel of one Broker shard's stream. The channel id is random and known to this runner only. */
export const replyTo = z.object({ stream: z.string().min(1).max(128), channel: channelId });
export type ReplyTo = z.infer<typeof replyTo>;

const envelope = z.object({
  sandboxId,
  tenantId,
  /** Counts placements and restores; a runner refuses another one than its own. */
  epoch: z.int().min(1),
  requestId,
  reply: replyTo,
});
/** Of the exec queue: refused after `startByMs` (Redis TIME), so that nothing runs after its caller was told that it will not. */
const execEnvelope = envelope.extend({ startByMs: z.int() });
/** Of the lifecycle queue: `revision` orders a sandbox's jobs; a lower one than already seen is refused as stale. */
const lifecycleEnvelope = envelope.extend({ revision: z.int().min(1) });

/** A one-time meeting place of the client's bytes and the runner's: /internal/transfers/<id>. */
export const transferId = z.string().regex(/^[0-9a-f]{64}$/);

export const networkModes = ['on', 'off'] as const;
export const deadlineModes = ['fixed', 'idle'] as const;
export const timeoutActions = ['kill', 'pause'] as const;

export const sandboxSpec = z.object({
  template: z.object({ name: z.string().min(1).max(128), image: z.string().min(1).max(256) }),
  network: z.enum(networkModes),
  /** With the network on; from before anything runs in it. */
  egress: egressRules.default({ allow: [], deny: [] }),
  cpus: z.number().min(0.1).max(64),
  memoryMiB: z
    .int()
    .min(64)
    .max(1024 * 1024),
  env: z.record(z.string(), z.string()),
  /** 'fixed': ttlMs from ready. 'idle': ttlMs from the last activity. */
  deadlineMode: z.enum(deadlineModes),
  ttlMs: z.int().min(1000),
  /** How long it may stay paused. */
  pausedTtlMs: z.int().min(1000),
  /** At its deadline: ended, or paused with its memory (keepMemory) or its files only. */
  onTimeout: z.enum(timeoutActions),
  keepMemory: z.boolean(),
  /** What it begins with on top of the template's image, which is named by its content then. */
  snapshot: snapshotSource.optional(),
});
export type SandboxSpec = z.infer<typeof sandboxSpec>;

export const sandboxOutcome = z.object({
  state: z.enum(['running', 'paused', 'ended']),
  /** The runner's wall clock; null where none runs (ended). */
  expiresAtMs: z.number().nullable(),
  /** Create: whether a warm container was claimed. While paused: what became of the memory. Resume: whether processes go on. */
  warm: z.boolean().optional(),
  memoryKept: z.boolean().optional(),
  memoryFreed: z.boolean().optional(),
  /** Snapshot: what was taken. */
  snapshot: takenSnapshot.optional(),
});
export type SandboxOutcome = z.infer<typeof sandboxOutcome>;

export const sandboxMetrics = z.object({
  atMs: z.number(),
  cpus: z.number(),
  /** CPU time used since the sandbox began, seconds. */
  cpuSeconds: z.number().min(0),
  /** Share of `cpus` used over the last sampling interval, 0–100. */
  cpuUsedPercent: z.number().min(0),
  memoryLimitBytes: z.int().min(0),
  memoryUsedBytes: z.int().min(0),
  memoryPeakBytes: z.int().min(0),
  /** Contents of files that the kernel keeps in its memory. */
  memoryCacheBytes: z.int().min(0),
  diskLimitBytes: z.int().min(0),
  diskUsedBytes: z.int().min(0),
  networkReceivedBytes: z.int().min(0),
  networkSentBytes: z.int().min(0),
  processes: z.int().min(0),
});
export type SandboxMetrics = z.infer<typeof sandboxMetrics>;

/**
 * Every job there is. `queue` tells the delivery: 'exec' jobs are handed over and never redelivered; 'lifecycle' jobs are held
 * until done, serialised per sandbox, idempotent and redelivered. `result` is what the one `result` event carries; a job whose
 * result is null answers by a stream of process or watch events instead (channel.ts).
 */
export const jobCatalog = {
  'process.start': {
    queue: 'exec',
    data: execEnvelope.extend({ spec: processSpec, attach: attachment.nullable() }),
    result: null,
  },
  /** One that runs, or else, of those that ended within endedProcessTtlMs, the one that ended last. */
  'process.attach': {
    queue: 'exec',
    data: execEnvelope.extend({ process: processSelector, attach: attachment }),
    result: null,
  },
  /** `details`: only those that run, with what they were started with. */
  'process.list': {
    queue: 'exec',
    data: execEnvelope.extend({ details: z.boolean() }),
    result: z.object({ processes: z.array(processInfo) }),
  },
  'file.call': { queue: 'exec', data: execEnvelope.extend({ call: fileCall }), result: z.unknown() },
  /** Answers `readHead` as result; then bytes as `data` events and `end` (no transfer, ≤ inlineBytes) or through the transfer. */
  'file.read': {
    queue: 'exec',
    data: execEnvelope.extend({ read: fileRead, transferId: transferId.nullable() }),
    result: null,
  },
  /** Bytes inline (contentBase64) or from the transfer, never both. Answers writeResult. */
  'file.write': {
    queue: 'exec',
    data: execEnvelope.extend({
      write: fileWrite,
      contentBase64: z.string().nullable(),
      transferId: transferId.nullable(),
    }),
    result: z.unknown(),
  },
  'file.watch': {
    queue: 'exec',
    data: execEnvelope.extend({ watch: fileWatch, creditBytes: z.int().min(0) }),
    result: null,
  },
  /** Whether it lives, by the runner's own word: nothing is asked of the engine or the agent. */
  'sandbox.ping': { queue: 'exec', data: execEnvelope, result: z.object({}) },
  /** The variables that it was created with: the runner's journal has them, and nobody else any more. */
  'sandbox.environment': { queue: 'exec', data: execEnvelope, result: z.object({ env: sandboxSpec.shape.env }) },
  /**
   * One HTTP request to a server inside. Its content inline or from a transfer, never both. Answers `portHead` as result before the first byte
   * of the body, then the body as the head says, then `end`.
   */
  'port.request': {
    queue: 'exec',
    data: execEnvelope.extend({
      request: portRequest,
      contentBase64: z.string().nullable(),
      contentTransferId: transferId.nullable(),
      /** Of what the transfer brings; null where that is not known. */
      contentBytes: z.int().min(0).nullable(),
      /** Where the body of the answer goes if it doesn't go inline. */
      answerTransferId: transferId,
    }),
    result: null,
  },
  /** Answers `portSocketHead`; one that is open meets the client's at /internal/sockets/<socketId>, and `end` comes with its end. */
  'port.socket': {
    queue: 'exec',
    data: execEnvelope.extend({ request: portRequest, protocols: webSocketProtocols, socketId: transferId }),
    result: null,
  },
  'sandbox.metrics': { queue: 'exec', data: execEnvelope, result: sandboxMetrics },
  /** To the node: the sandbox may have ended there. What has run in it is on record before the answer, as far as that can be soon. */
  'sandbox.history': { queue: 'exec', data: execEnvelope, result: z.object({}) },
  /** To the node: the sandbox may be paused there. */
  'sandbox.usage': { queue: 'exec', data: execEnvelope.extend({ query: usageQuery }), result: usageHistory },
  /** To the node that took it, about its copy of a snapshot; the sandbox may have ended. In the order of the parts, and all of them. */
  'snapshot.upload': {
    queue: 'exec',
    data: execEnvelope.extend({ snapshotId, parts: z.array(snapshotPart).min(1).max(snapshotLimits.partsCount) }),
    result: uploadedSnapshot,
  },
  'snapshot.drop': { queue: 'exec', data: execEnvelope.extend({ snapshotId }), result: z.object({}) },

  'sandbox.create': {
    queue: 'lifecycle',
    data: lifecycleEnvelope.extend({ spec: sandboxSpec }),
    result: sandboxOutcome,
  },
  /** SIGTERM to every process, SIGKILL and removal after graceMs. Accepted in every state, also for one that never came to be. */
  'sandbox.kill': {
    queue: 'lifecycle',
    data: lifecycleEnvelope.extend({ graceMs: z.int().min(0).max(30_000) }),
    result: sandboxOutcome,
  },
  /** Without memory, processes are ended and the files kept: resumed, it begins anew with them. */
  'sandbox.pause': {
    queue: 'lifecycle',
    data: lifecycleEnvelope.extend({ memory: z.boolean() }),
    result: sandboxOutcome,
  },
  /** Without memory, what the pause has kept of its processes is given up: it begins anew with its files. */
  'sandbox.resume': {
    queue: 'lifecycle',
    data: lifecycleEnvelope.extend({ ttlMs: z.int().min(1000), memory: z.boolean().default(true) }),
    result: sandboxOutcome,
  },
  /** Takes its files; it stands still meanwhile. `passEnvironment`: what boots from it can have its environment. */
  'sandbox.snapshot': {
    queue: 'lifecycle',
    /** `memory`: with what runs in it, where that can be written down. */
    data: lifecycleEnvelope.extend({
      snapshotId,
      key: snapshotKey,
      passEnvironment: z.boolean(),
      memory: z.boolean(),
    }),
    result: sandboxOutcome,
  },
  /** ttlMs from now; 0: its time is up. onlyExtend: never shorten. */
  'sandbox.deadline': {
    queue: 'lifecycle',
    data: lifecycleEnvelope.extend({ ttlMs: z.int().min(0), onlyExtend: z.boolean() }),
    result: sandboxOutcome,
  },
  /** In place of all that it had. Answered once they are in force. */
  'sandbox.network': {
    queue: 'lifecycle',
    data: lifecycleEnvelope.extend({ egress: egressRules }),
    result: sandboxOutcome,
  },
} as const satisfies Record<string, { queue: 'exec' | 'lifecycle'; data: z.ZodType; result: z.ZodType | null }>;

export type JobName = keyof typeof jobCatalog;
export type JobData<N extends JobName> = z.infer<(typeof jobCatalog)[N]['data']>;
export type ExecJobName = { [N in JobName]: (typeof jobCatalog)[N]['queue'] extends 'exec' ? N : never }[JobName];
export type LifecycleJobName = Exclude<JobName, ExecJobName>;
/** Exec jobs that no live sandbox is needed for. */
export type NodeJobName = 'sandbox.history' | 'sandbox.usage' | 'snapshot.upload' | 'snapshot.drop';
