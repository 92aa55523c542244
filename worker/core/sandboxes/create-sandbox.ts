import { and, eq, sql, getTableColumns } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import type { TimeoutAction } from '../../../db/enums.ts';
import type { Template } from '../../../db/directory.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';
import { newOperationId, newSandboxId } from '../ids.ts';
import { findBootSource, type BootSource } from '../snapshots/boot-source.ts';
import type { Context } from '../ports.ts';
import { requireEgressRules } from './egress-rules.ts';
import { canonicalHash, findByIdempotencyKey, waitForWinner } from './idempotency.ts';
import { launchSandbox } from './launch-sandbox.ts';
import { placeSandbox } from './place-sandbox.ts';
import { fits, quotaError, usage } from './quota.ts';
import { requireTimeout } from './require-timeout.ts';

export interface CreateSandbox {
  template: string;
  /** What it is made of, instead of the template's files alone; the template is its snapshot's then. */
  snapshotId: string | undefined;
  timeoutSeconds: number;
  timeoutMode: 'fixed' | 'idle';
  metadata: Record<string, string>;
  env: Record<string, string>;
  cpus: number;
  memoryMiB: number;
  /** Absent: on where runners offer it, else off. */
  network: 'on' | 'off' | undefined;
  onTimeout: TimeoutAction;
  /** Of a pause at the timeout: whether processes go on afterwards. */
  keepMemory: boolean;
  /** Traffic to a port wakes it while it is paused. */
  autoResume: boolean;
  /** Its envd surface asks for no token: E2B's `secure: false`, nobody else's. */
  envdOpen: boolean;
  /** Whether its ports are reached without a traffic token. */
  publicPorts: boolean;
  /** The Host that servers inside see, `${PORT}` in it replaced; null: the one that was asked for. */
  maskRequestHost: string | null;
  egress: Readonly<{ allow: readonly string[]; deny: readonly string[] }>;
  idempotencyKey: string | undefined;
}

/** What a sandbox is unless its caller says otherwise. */
export const plainSandbox = {
  snapshotId: undefined,
  onTimeout: 'kill',
  keepMemory: true,
  autoResume: false,
  envdOpen: false,
  publicPorts: true,
  maskRequestHost: null,
  egress: { allow: [], deny: [] },
} as const satisfies Partial<CreateSandbox>;

export interface CreatedSandbox {
  sandbox: Sandbox;
  /** An earlier request with this Idempotency-Key made it. */
  replayed: boolean;
  /** Whether the processes of what it was made of go on in it; unknown of one that was made earlier. */
  memoryKept: boolean | undefined;
}

/**
 * Reserves a place, writes the row under the tenant's limits, has the runner make it. Throws invalid_argument, quota_exceeded,
 * not_found (its snapshot), capacity_exhausted, idempotency_mismatch, or what the runner answered; nothing is left behind then. `given`: a
 * source that is in no list.
 */
export const createSandbox = async (
  ctx: Context,
  input: CreateSandbox,
  given?: BootSource,
): Promise<CreatedSandbox> => {
  checkLimits(ctx, input);
  checkEgress(input);
  const source = given ?? (await findBootSource(ctx, input.snapshotId));
  const [template, idempotencyHash] = await Promise.all([
    source ?? ctx.templates.get(ctx.directory, input.template, ctx.now()),
    input.idempotencyKey === undefined ? null : canonicalHash(input),
  ]);
  if (idempotencyHash !== null) {
    const winner = await findByIdempotencyKey(ctx, input.idempotencyKey ?? '');
    if (winner)
      return { sandbox: await waitForWinner(ctx, winner, idempotencyHash), replayed: true, memoryKept: undefined };
  }
  const sandboxId = newSandboxId(ctx.cellId);
  const begin = { prefer: source?.runnerId ?? null, restoresMemory: source?.memoryKept === true };
  const wish = { ...input, ...begin, template: template.name, exclude: [] };
  const place = await placeSandbox(ctx, sandboxId, wish);
  const snapshotId = source?.snapshotId ?? null;
  const row = newRow(ctx, input, template, { sandboxId, ...place, snapshotId, idempotencyHash });
  if (!(await insert(ctx, row))) {
    ctx.after(ctx.fleet.release(sandboxId));
    const winner = row.idempotencyKey === null ? undefined : await findByIdempotencyKey(ctx, row.idempotencyKey);
    if (!winner) throw await quotaError(ctx, input.cpus, input.memoryMiB);
    return { sandbox: await waitForWinner(ctx, winner, idempotencyHash ?? ''), replayed: true, memoryKept: undefined };
  }
  // It goes on when the client does not wait: a row that is on record is brought to an end, running or failed.
  const launch = launchSandbox(ctx, row, source);
  ctx.after(launch.then(noop, noop).then(() => ctx.fleet.settled(sandboxId)));
  const { sandbox, memoryKept } = await launch;
  ctx.accesses.note(sandbox, ctx.actor.tenant, ctx.now());
  return { sandbox, replayed: false, memoryKept };
};

const noop = (): void => undefined;

const checkLimits = (ctx: Context, input: CreateSandbox): void => {
  const { tenant } = ctx.actor;
  const over = (path: string, limit: string) =>
    new ServiceError('invalid_argument', `${path} is over the tenant's limit of ${limit}.`, {
      issues: [{ path, message: `at most ${limit}` }],
    });
  requireTimeout(ctx, input.timeoutSeconds);
  if (input.cpus > tenant.maxCpus) throw over('cpu', `${tenant.maxCpus} vCPU`);
  if (input.memoryMiB > tenant.maxMemoryMiB) throw over('memoryMiB', `${tenant.maxMemoryMiB} MiB`);
};

const checkEgress = ({ egress, network }: CreateSandbox): void => {
  const { allow, deny } = requireEgressRules(egress);
  if (network !== 'off' || allow.length + deny.length === 0) return;
  throw new ServiceError('invalid_argument', 'A sandbox without a network has no egress rules.', {
    issues: [{ path: 'egress', message: "not with network 'off'" }],
  });
};

const newRow = (
  ctx: Context,
  input: CreateSandbox,
  template: Pick<Template, 'name' | 'image'>,
  made: {
    sandboxId: string;
    runnerId: string;
    network: 'on' | 'off';
    snapshotId: string | null;
    idempotencyHash: string | null;
  },
): Sandbox => ({
  id: made.sandboxId,
  tenantId: ctx.actor.tenant.id,
  template: template.name,
  image: template.image,
  state: 'creating',
  endReason: null,
  epoch: 1,
  revision: 1,
  lastOp: newOperationId(),
  openJob: 'create',
  openJobDeadlineMs: ctx.now() + limits.lifecycleJobMs,
  runnerId: made.runnerId,
  network: made.network,
  cpus: input.cpus,
  memoryMiB: input.memoryMiB,
  deadlineMode: input.timeoutMode,
  ttlMs: input.timeoutSeconds * 1000,
  expiresAtMs: null,
  onTimeout: input.onTimeout,
  keepMemory: input.keepMemory,
  memoryKept: null,
  memoryFreed: null,
  autoResume: input.autoResume,
  envdOpen: input.envdOpen,
  publicPorts: input.publicPorts,
  maskRequestHost: input.maskRequestHost,
  egress: { allow: [...input.egress.allow], deny: [...input.egress.deny] },
  snapshotId: made.snapshotId,
  metadata: input.metadata,
  env: input.env,
  idempotencyKey: input.idempotencyKey ?? null,
  idempotencyHash: made.idempotencyHash,
  createdAtMs: ctx.now(),
  startedAtMs: null,
  pausedAtMs: null,
  endedAtMs: null,
});

/** One statement: the row, if the tenant's limits and the Idempotency-Key allow it. */
const insert = async (ctx: Context, row: Sandbox): Promise<boolean> => {
  const columns = Object.entries(getTableColumns(sandboxes));
  const values = sql.join(
    columns.map(([name, column]) => sql`${sql.param(row[name as keyof Sandbox], column)}`),
    sql`, `,
  );
  const allowed = fits(ctx.actor.tenant, row.cpus, row.memoryMiB);
  const insertRow = ctx.cell
    .insert(sandboxes)
    .select(sql`select ${values} from ${usage(row.tenantId, ctx.now())} where ${allowed}`)
    .onConflictDoNothing({ target: [sandboxes.tenantId, sandboxes.idempotencyKey] })
    .returning({ id: sandboxes.id });
  try {
    return (await insertRow).length > 0;
  } catch (error) {
    const applied = and(eq(sandboxes.id, row.id), eq(sandboxes.lastOp, row.lastOp));
    const [found] = await ctx.cell.select({ id: sandboxes.id }).from(sandboxes).where(applied).limit(1);
    if (found) return true;
    ctx.after(ctx.fleet.release(row.id));
    throw error;
  }
};
