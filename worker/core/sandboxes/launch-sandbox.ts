import { and, eq, ne } from 'drizzle-orm';
import { sandboxes, type Sandbox } from '../../../db/cell.ts';
import type { SandboxOutcome } from '../../../runner/protocol/jobs.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError, type ErrorCode } from '../errors.ts';
import type { Context } from '../ports.ts';
import type { BootSource } from '../snapshots/boot-source.ts';
import { changeSandbox } from './change-sandbox.ts';
import { placeSandbox } from './place-sandbox.ts';
import { publishRoute } from './route.ts';

const candidatesCount = 3;

/** After these the same sandbox may be made elsewhere: epoch fences a runner that did make it. */
const elsewhere: readonly ErrorCode[] = [
  'capacity_exhausted',
  'not_started',
  'unavailable',
  'runner_lost',
  'template_unavailable',
  // By that node.
  'not_implemented',
];

export interface Launched {
  sandbox: Sandbox;
  /** Whether the processes of what it was made of go on in it. */
  memoryKept: boolean;
}

/** From a row that is on record and placed to a running sandbox; else to an ended row, and the reason is thrown. */
export const launchSandbox = async (ctx: Context, created: Sandbox, source?: BootSource): Promise<Launched> => {
  let row = created;
  const refused: string[] = [];
  for (;;) {
    try {
      const outcome = await deliver(ctx, row, source);
      // A repeat of a create that was answered before does not say.
      const lost = source?.memoryKept === true && outcome.memoryKept === false;
      const sandbox = await settle(ctx, row, outcome, lost ? processesLost : undefined);
      return { sandbox, memoryKept: outcome.memoryKept === true };
    } catch (error) {
      if (row.runnerId !== null) refused.push(row.runnerId);
      const code = error instanceof ServiceError ? error.code : 'internal';
      const next =
        elsewhere.includes(code) && refused.length < candidatesCount
          ? await replace(ctx, row, { refused, source })
          : undefined;
      if (!next) throw await fail(ctx, row, error);
      row = next;
    }
  }
};

const deliver = async (ctx: Context, row: Sandbox, source: BootSource | undefined): Promise<SandboxOutcome> => {
  if (row.runnerId === null) throw new Error('a sandbox was to be delivered before it was placed');
  const snapshot = await source?.specOn(row.runnerId);
  return ctx.broker.lifecycle(
    'sandbox.create',
    row.runnerId,
    {
      sandboxId: row.id,
      tenantId: row.tenantId,
      epoch: row.epoch,
      revision: row.revision,
      requestId: ctx.requestId,
      spec: {
        template: { name: row.template, image: row.image },
        network: row.network,
        egress: row.egress,
        cpus: row.cpus,
        memoryMiB: row.memoryMiB,
        env: row.env,
        deadlineMode: row.deadlineMode,
        ttlMs: row.ttlMs,
        pausedTtlMs: ctx.actor.tenant.maxTtlSeconds * 1000,
        onTimeout: row.onTimeout,
        keepMemory: row.keepMemory,
        ...(snapshot ? { snapshot } : {}),
      },
    },
    limits.lifecycleJobMs,
  );
};

/** Still this placement's create: no kill has superseded it. */
const stillCreating = (row: Sandbox) =>
  and(eq(sandboxes.epoch, row.epoch), eq(sandboxes.revision, row.revision), eq(sandboxes.openJob, 'create'));

class Superseded extends ServiceError {
  constructor() {
    super('conflict', 'The sandbox was ended before it was ready.');
  }
}

const processesLost = {
  kind: 'running',
  message: 'It began with its snapshot’s files: the processes could not be brought back.',
} as const;

const settle = async (
  ctx: Context,
  row: Sandbox,
  outcome: SandboxOutcome,
  event: typeof processesLost | undefined,
): Promise<Sandbox> => {
  if (outcome.state !== 'running') throw new Superseded();
  const set = {
    state: 'running',
    openJob: null,
    openJobDeadlineMs: null,
    startedAtMs: ctx.now(),
    expiresAtMs: outcome.expiresAtMs,
    env: {},
  } as const;
  // The route goes out beside the record: if a kill has taken over, its higher revision wins in the shard as well.
  const [running] = await Promise.all([
    changeSandbox(ctx, { sandboxId: row.id, when: stillCreating(row), set, ...(event ? { event } : {}) }),
    publishRoute(ctx, { ...row, ...set }),
  ]);
  if (!running) throw new Superseded();
  return running;
};

/** Another runner for the row, or undefined where there is none or the row is no longer ours. */
const replace = async (
  ctx: Context,
  row: Sandbox,
  { refused, source }: { refused: readonly string[]; source: BootSource | undefined },
): Promise<Sandbox | undefined> => {
  try {
    const wish = { ...row, exclude: refused, prefer: null, restoresMemory: source?.memoryKept === true };
    const place = await placeSandbox(ctx, row.id, wish);
    return await changeSandbox(ctx, {
      sandboxId: row.id,
      when: stillCreating(row),
      set: {
        runnerId: place.runnerId,
        epoch: row.epoch + 1,
        revision: row.revision + 1,
        openJobDeadlineMs: ctx.now() + limits.lifecycleJobMs,
      },
    });
  } catch (error) {
    if (error instanceof ServiceError) return undefined;
    throw error;
  }
};

/** Nothing is left behind: the row ends and frees its Idempotency-Key, the runner is told to remove what it may have made. */
const fail = async (ctx: Context, row: Sandbox, error: unknown): Promise<unknown> => {
  if (error instanceof Superseded) return error;
  const ended = await changeSandbox(ctx, {
    sandboxId: row.id,
    when: and(stillCreating(row), ne(sandboxes.state, 'ended')),
    set: {
      state: 'ended',
      endReason: 'failed',
      endedAtMs: ctx.now(),
      openJob: null,
      openJobDeadlineMs: null,
      revision: row.revision + 1,
      idempotencyKey: null,
      env: {},
    },
    event: { kind: 'ended', message: 'It could not be made.' },
  });
  if (!ended) return new Superseded();
  ctx.after(removeRemains(ctx, ended));
  if (error instanceof ServiceError && error.code === 'runner_lost') {
    return new ServiceError('unavailable', 'The runner was lost while it made the sandbox; none is left. Try again.', {
      cause: error,
      retryAfterSeconds: 5,
    });
  }
  return error;
};

const removeRemains = async (ctx: Context, ended: Sandbox): Promise<void> => {
  await Promise.all([publishRoute(ctx, ended), ctx.fleet.release(ended.id)]);
  if (ended.runnerId === null) return;
  await ctx.broker.lifecycle(
    'sandbox.kill',
    ended.runnerId,
    {
      sandboxId: ended.id,
      tenantId: ended.tenantId,
      epoch: ended.epoch,
      revision: ended.revision,
      requestId: ctx.requestId,
      graceMs: 0,
    },
    limits.lifecycleJobMs,
  );
};
