import type { z } from '@hono/zod-openapi';
import type { sandboxView } from '../contract/sandboxes.ts';
import { publicStateOf } from '../core/sandbox-state.ts';
import type { getSandbox } from '../core/sandboxes/get-sandbox.ts';
import { timestampOf, timestampOrNull } from './timestamp.ts';

/** The row as the native API shows it. */
export const viewSandbox = (row: Awaited<ReturnType<typeof getSandbox>>): z.infer<typeof sandboxView> => ({
  id: row.id,
  template: row.template,
  snapshot: row.snapshotId,
  state: publicStateOf(row),
  endReason: row.endReason,
  timeoutSeconds: row.ttlMs / 1000,
  timeoutMode: row.deadlineMode,
  expiresAt: row.state === 'ended' ? null : timestampOrNull(row.expiresAtMs),
  metadata: row.metadata,
  cpu: row.cpus,
  memoryMiB: row.memoryMiB,
  network: row.network,
  egress: row.egress,
  onTimeout: row.onTimeout,
  keepMemory: row.keepMemory,
  memoryKept: row.state === 'paused' ? row.memoryKept : null,
  memoryFreed: row.state === 'paused' ? row.memoryFreed : null,
  autoResume: row.autoResume,
  publicPorts: row.publicPorts,
  createdAt: timestampOf(row.createdAtMs),
  startedAt: timestampOrNull(row.startedAtMs),
  pausedAt: timestampOrNull(row.pausedAtMs),
  endedAt: timestampOrNull(row.endedAtMs),
});
