import { z } from '@hono/zod-openapi';

/** Messages of E2B's package `process`, as protobuf's JSON mapping spells them. */
export const startRequest = z.object({
  process: z.object({
    cmd: z.string().min(1),
    args: z.array(z.string()).default([]),
    envs: z.record(z.string(), z.string()).default({}),
    cwd: z.string().optional(),
  }),
  pty: z.object({ size: z.object({ cols: z.int().min(1).max(1000), rows: z.int().min(1).max(1000) }) }).optional(),
  tag: z.string().max(256).optional(),
  /** Absent means open, as old SDKs expect it. */
  stdin: z.boolean().default(true),
});
