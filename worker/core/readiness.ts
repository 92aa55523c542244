import { sql } from 'drizzle-orm';
import type { AdminContext } from './ports.ts';

const probeTimeoutMs = 3_000;

const parts = ['redis', 'database', 'runners'] as const;
export type Part = (typeof parts)[number];

/** What is missing for a sandbox to be made. Each part is asked at the same time and given probeTimeoutMs. */
export const findNotReady = async (ctx: AdminContext): Promise<Part[]> => {
  const probes: Record<Part, () => Promise<boolean>> = {
    redis: () => ctx.broker.healthy(),
    database: async () => {
      await Promise.all([ctx.directory.run(sql`select 1`), ctx.cell.run(sql`select 1`)]);
      return true;
    },
    runners: async () => (await ctx.fleet.summary()).online > 0,
  };
  const ready = await Promise.all(parts.map((part) => within(probes[part](), probeTimeoutMs)));
  return parts.filter((_, index) => ready[index] !== true);
};

/** An error is the answer «not ready», which is what was asked. */
const within = async (probe: Promise<boolean>, timeoutMs: number): Promise<boolean> => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([probe, late]);
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
};
