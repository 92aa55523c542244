import type { SandboxOutcome } from '../../../runner/protocol/jobs.ts';

/** What a runner's word that a sandbox is paused puts on record. */
export const pausedBy = (told: Pick<SandboxOutcome, 'expiresAtMs' | 'memoryKept' | 'memoryFreed'>, nowMs: number) => ({
  state: 'paused' as const,
  pausedAtMs: nowMs,
  expiresAtMs: told.expiresAtMs,
  memoryKept: told.memoryKept ?? false,
  memoryFreed: told.memoryFreed ?? false,
});

/** The same of its word that it runs. */
export const resumedBy = (told: Pick<SandboxOutcome, 'expiresAtMs'>) => ({
  state: 'running' as const,
  pausedAtMs: null,
  expiresAtMs: told.expiresAtMs,
  memoryKept: null,
  memoryFreed: null,
});
