import { and, eq, inArray, isNull, lt, sql, type SQL } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import type { Tenant } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Context } from '../ports.ts';

/** A runner ends a sandbox at its deadline by itself, unless it pauses it then; a row this long past a fixed one only waits for the report. */
const lapsedAfterMs = 30_000;

/** Rows that count against a tenant's limits: what has not ended and does not read as ended. */
const counted = (tenantId: string, nowMs: number): SQL | undefined => {
  const lapsed = and(
    eq(sandboxes.state, 'running'),
    eq(sandboxes.deadlineMode, 'fixed'),
    eq(sandboxes.onTimeout, 'kill'),
    isNull(sandboxes.openJob),
    lt(sandboxes.expiresAtMs, nowMs - lapsedAfterMs),
  );
  return and(
    eq(sandboxes.tenantId, tenantId),
    inArray(sandboxes.state, ['creating', 'running', 'paused']),
    sql`not coalesce(${lapsed}, 0)`,
  );
};

/** Frozen memory is in use; what was given back counts again from the moment that it is asked for. */
const usedMemory = sql`case when ${sandboxes.state} = 'paused' and ${sandboxes.memoryFreed} and ${sandboxes.openJob} is not 'resume'
  then 0 else ${sandboxes.memoryMiB} end`;

/** For `select … from ${usage}`: one row with the columns count, cpus and memory. */
export const usage = (tenantId: string, nowMs: number): SQL =>
  sql`(select count(*) as n, coalesce(sum(${sandboxes.cpus}), 0) as cpus, coalesce(sum(${usedMemory}), 0) as memory
    from ${sandboxes} where ${counted(tenantId, nowMs)}) as used`;

export const fits = (tenant: Tenant, cpus: number, memoryMiB: number): SQL =>
  sql`used.n + 1 <= ${tenant.maxSandboxes} and used.cpus + ${cpus} <= ${tenant.maxCpus}
    and used.memory + ${memoryMiB} <= ${tenant.maxMemoryMiB}`;

/** Of a resume: a sandbox whose memory was given back fits into what its tenant has left. */
export const memoryFits = (ctx: Context) => {
  const { tenant } = ctx.actor;
  const left = sql`(select ${tenant.maxMemoryMiB} - used.memory from ${usage(tenant.id, ctx.now())})`;
  return {
    when: sql`(${sandboxes.memoryFreed} is not 1 or ${sandboxes.memoryMiB} <= ${left})`,
    refuse: (row: Sandbox) => quotaError(ctx, 0, row.memoryMiB, 0),
  };
};

/** Says which limit stands in the way, after an insert that the limits refused. */
export const quotaError = async (ctx: Context, cpus: number, memoryMiB: number, count = 1): Promise<ServiceError> => {
  const { tenant } = ctx.actor;
  const rows = await ctx.cell.all<{ n: number; cpus: number; memory: number }>(
    sql`select used.n, used.cpus, used.memory from ${usage(tenant.id, ctx.now())}`,
  );
  const used = rows[0] ?? { n: 0, cpus: 0, memory: 0 };
  const limit =
    used.n + count > tenant.maxSandboxes
      ? `${tenant.maxSandboxes} sandboxes at once`
      : used.cpus + cpus > tenant.maxCpus
        ? `${tenant.maxCpus} vCPU at once (${used.cpus} in use, ${cpus} asked for)`
        : `${tenant.maxMemoryMiB} MiB of memory at once (${used.memory} in use, ${memoryMiB} asked for)`;
  return new ServiceError('quota_exceeded', `The tenant's limit is ${limit}; end a sandbox or wait for one to end.`, {
    retryAfterSeconds: 5,
  });
};
