import { z } from 'zod';
import { limits } from './limits.ts';

/** What a sandbox used at one moment, as its host counts. */
export const usageSample = z.object({
  atMs: z.number(),
  cpus: z.number(),
  /** Share of `cpus` used since the sample before, 0–100. */
  cpuUsedPercent: z.number().min(0),
  memoryLimitBytes: z.int().min(0),
  memoryUsedBytes: z.int().min(0),
  /** Contents of files that the kernel keeps in its memory. */
  memoryCacheBytes: z.int().min(0),
  diskLimitBytes: z.int().min(0),
  /** As last measured; 0 where it has not been yet. */
  diskUsedBytes: z.int().min(0),
});
export type UsageSample = z.infer<typeof usageSample>;

/** The latest `limit` samples from `startMs` to `endMs`, both included. */
export const usageQuery = z.object({
  startMs: z.number().min(0),
  endMs: z.number().min(0),
  limit: z.int().min(1).max(limits.usageSamples),
});
export type UsageQuery = z.infer<typeof usageQuery>;

/** Oldest first. */
export const usageHistory = z.object({ samples: z.array(usageSample).max(limits.usageSamples) });
