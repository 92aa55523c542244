import { eq } from 'drizzle-orm';
import { tenants, type Tenant } from '../../../db/directory.ts';
import { ServiceError } from '../errors.ts';
import { newTenantId } from '../ids.ts';
import { keyset, pageOf, type PageOf } from '../keyset.ts';
import { insertKey, type CreateKey, type CreatedKey } from '../keys/create-key.ts';
import type { AdminContext } from '../ports.ts';

export type TenantLimits = Pick<
  Tenant,
  'maxSandboxes' | 'maxCpus' | 'maxMemoryMiB' | 'maxTtlSeconds' | 'maxStorageBytes' | 'requestsPerSecond'
>;

export type LimitsInput = { [K in keyof TenantLimits]?: TenantLimits[K] | undefined };

const defaultLimits: TenantLimits = {
  maxSandboxes: 1000,
  maxCpus: 4000,
  maxMemoryMiB: 1024 * 1024,
  maxTtlSeconds: 86_400,
  maxStorageBytes: 100 * 1024 ** 3,
  requestsPerSecond: 2000,
};

export const createTenant = async (
  ctx: AdminContext,
  input: { name: string; limits: LimitsInput },
): Promise<Tenant> => {
  const tenant: Tenant = {
    id: newTenantId(),
    name: input.name,
    maxSandboxes: input.limits.maxSandboxes ?? defaultLimits.maxSandboxes,
    maxCpus: input.limits.maxCpus ?? defaultLimits.maxCpus,
    maxMemoryMiB: input.limits.maxMemoryMiB ?? defaultLimits.maxMemoryMiB,
    maxTtlSeconds: input.limits.maxTtlSeconds ?? defaultLimits.maxTtlSeconds,
    maxStorageBytes: input.limits.maxStorageBytes ?? defaultLimits.maxStorageBytes,
    requestsPerSecond: input.limits.requestsPerSecond ?? defaultLimits.requestsPerSecond,
    createdAtMs: ctx.now(),
    suspendedAtMs: null,
  };
  await ctx.directory.insert(tenants).values(tenant);
  return tenant;
};

export const getTenant = async (ctx: AdminContext, tenantId: string): Promise<Tenant> => {
  const [tenant] = await ctx.directory.select().from(tenants).where(eq(tenants.id, tenantId)).limit(1);
  if (!tenant) throw tenantNotFound(tenantId);
  return tenant;
};

const tenantNotFound = (tenantId: string) =>
  new ServiceError('not_found', `There is no tenant with the id ${tenantId.slice(0, 64)}.`);

/** Newest first. */
export const listTenants = async (
  ctx: AdminContext,
  input: Omit<PageOf, 'order'>,
): Promise<{ tenants: Tenant[]; nextCursor: string | null }> => {
  const { after, orderBy, limit } = keyset(tenants, { ...input, order: 'desc' });
  const rows = await ctx.directory
    .select()
    .from(tenants)
    .where(after)
    .orderBy(...orderBy)
    .limit(limit);
  const { page, nextCursor } = pageOf(rows, input.limit);
  return { tenants: page, nextCursor };
};

/** Suspension refuses the tenant's keys, at once in this isolate; its sandboxes run to their ends. */
export const changeTenant = async (
  ctx: AdminContext,
  tenantId: string,
  change: { name: string | undefined; limits: LimitsInput; suspended: boolean | undefined },
): Promise<Tenant> => {
  const current = await getTenant(ctx, tenantId);
  const suspendedAtMs =
    change.suspended === undefined
      ? current.suspendedAtMs
      : change.suspended
        ? (current.suspendedAtMs ?? ctx.now())
        : null;
  const [tenant] = await ctx.directory
    .update(tenants)
    .set({ ...change.limits, name: change.name ?? current.name, suspendedAtMs })
    .where(eq(tenants.id, tenantId))
    .returning();
  if (!tenant) throw tenantNotFound(tenantId);
  ctx.keyring.forgetTenant(tenantId);
  return tenant;
};

export const createTenantKey = async (ctx: AdminContext, tenantId: string, input: CreateKey): Promise<CreatedKey> => {
  const tenant = await getTenant(ctx, tenantId);
  return insertKey(ctx, tenant.id, input);
};
