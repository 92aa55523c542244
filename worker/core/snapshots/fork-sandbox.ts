import type { Sandbox } from '../../../db/cell.ts';
import { ServiceError } from '../errors.ts';
import { lasting } from '../lasting.ts';
import type { Context } from '../ports.ts';
import { createSandbox } from '../sandboxes/create-sandbox.ts';
import { getSandbox } from '../sandboxes/get-sandbox.ts';
import { requireTimeout } from '../sandboxes/require-timeout.ts';
import { refusalOf } from '../sandbox-state.ts';
import { bootSourceOf, type BootSource } from './boot-source.ts';
import { giveUpSnapshot } from './remove-snapshot.ts';
import { snapshotLimits } from './snapshot-limits.ts';
import { storeSnapshot } from './store-snapshot.ts';
import { takeSnapshot } from './take-snapshot.ts';

export interface ForkSandbox {
  count: number;
  timeoutSeconds: number;
}

export type Forked = { sandbox: Sandbox; memoryKept: boolean } | { error: unknown };

export interface Fork {
  /** In no order; each was made or failed by itself. */
  results: Forked[];
  /** Whether processes go on, where they were, in all that were made. */
  memoryKept: boolean;
}

/**
 * `count` sandboxes with the files, processes, metadata, environment and settings of one that runs and goes on running. It is taken once, and
 * stays on its node as long as all of them find room there. Throws not_found, sandbox_ended, sandbox_not_running, conflict, invalid_argument,
 * quota_exceeded, or what the runner answered, where none can be made.
 */
export const forkSandbox = async (ctx: Context, sandboxId: string, input: ForkSandbox): Promise<Fork> => {
  requireTimeout(ctx, input.timeoutSeconds);
  const { maxSandboxes } = ctx.actor.tenant;
  if (input.count >= maxSandboxes) {
    throw new ServiceError(
      'invalid_argument',
      `count is at most ${Math.max(maxSandboxes - 1, 0)}: the tenant's limit is ${maxSandboxes} sandboxes at once, and the forked one stays.`,
    );
  }
  const source = await getSandbox(ctx, sandboxId);
  if (source.state !== 'running') throw notForkable(source);
  return lasting(ctx, fork(ctx, source, input));
};

const notForkable = (source: Sandbox): ServiceError =>
  source.state === 'paused'
    ? new ServiceError('sandbox_not_running', 'The sandbox is paused and cannot be forked; resume it first.')
    : refusalOf('snapshot', source);

const fork = async (ctx: Context, source: Sandbox, input: ForkSandbox): Promise<Fork> => {
  const { snapshot, sizeBytes } = await takeSnapshot(ctx, source, {
    purpose: 'fork',
    name: null,
    tag: '',
    memory: true,
  });
  const stored = bootSourceOf(ctx, snapshot, sizeBytes);
  let storing: Promise<void> | undefined;
  const boot: BootSource = {
    ...stored,
    specOn: async (runnerId) => {
      if (runnerId === snapshot.runnerId) return { ...(await stored.specOn(runnerId)), url: null };
      // Not all of them fit on its node: the others fetch it, as they would any snapshot.
      storing ??= storeSnapshot(ctx, snapshot, sizeBytes, source);
      await storing;
      return stored.specOn(runnerId);
    },
  };
  try {
    const results = await createAll(ctx, source, input, boot);
    const made = results.flatMap((result) => ('sandbox' in result ? [result] : []));
    const memoryKept = made.length > 0 && made.every((child) => child.memoryKept);
    return { results, memoryKept };
  } finally {
    ctx.after(giveUpSnapshot(ctx, snapshot, source));
  }
};

const createAll = async (ctx: Context, source: Sandbox, input: ForkSandbox, boot: BootSource): Promise<Forked[]> => {
  const results: Forked[] = [];
  let left = input.count;
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      results.push(await createChild(ctx, source, input, boot));
    }
  };
  await Promise.all(Array.from({ length: snapshotLimits.forksAtOnce }, work));
  return results;
};

const createChild = async (ctx: Context, source: Sandbox, input: ForkSandbox, boot: BootSource): Promise<Forked> => {
  try {
    const { sandbox, memoryKept } = await createSandbox(
      ctx,
      {
        template: source.template,
        snapshotId: undefined,
        timeoutSeconds: input.timeoutSeconds,
        timeoutMode: source.deadlineMode,
        metadata: source.metadata,
        // Theirs comes with the files: it is on record nowhere once a sandbox runs.
        env: {},
        cpus: source.cpus,
        memoryMiB: source.memoryMiB,
        network: source.network,
        onTimeout: source.onTimeout,
        keepMemory: source.keepMemory,
        autoResume: source.autoResume,
        envdOpen: source.envdOpen,
        publicPorts: source.publicPorts,
        maskRequestHost: source.maskRequestHost,
        egress: source.egress,
        idempotencyKey: undefined,
      },
      boot,
    );
    return { sandbox, memoryKept: memoryKept === true };
  } catch (error) {
    return { error };
  }
};
