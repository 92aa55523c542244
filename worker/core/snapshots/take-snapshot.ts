import { and, eq, sql } from 'drizzle-orm';
import { snapshots, type Snapshot } from '../../../db/directory.ts';
import type { Sandbox } from '../../../db/cell.ts';
import type { SnapshotPurpose } from '../../../db/enums.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { TakenSnapshot } from '../../../runner/protocol/snapshots.ts';
import { ServiceError } from '../errors.ts';
import { newSnapshotId } from '../ids.ts';
import type { Context } from '../ports.ts';
import { refusalOf } from '../sandbox-state.ts';
import { abandonJob, closeJob, envelopeOf, openJob, runnerOf } from '../sandboxes/open-job.ts';
import { whileConflict } from '../sandboxes/while-conflict.ts';
import { giveUpSnapshot } from './remove-snapshot.ts';
import { snapshotLimits } from './snapshot-limits.ts';

/** The runner's own word of a snapshot that took too long says more than ours. */
const answerMs = 5_000;

export interface NewSnapshot {
  purpose: SnapshotPurpose;
  name: string | null;
  tag: string;
  /** With its processes, where its node can write them down. */
  memory: boolean;
}

/**
 * Takes the files of a sandbox, which stands still meanwhile and goes on, into its own node's store: what boots there needs no more. Waits for
 * another change of it that is under way. The row is `making` and has its size only once its object is claimed. Throws quota_exceeded, or
 * what the state and the runner refuse; then nothing is left.
 */
export const takeSnapshot = async (
  ctx: Context,
  source: Sandbox,
  input: NewSnapshot,
): Promise<{ snapshot: Snapshot; sizeBytes: number }> => {
  // Where it will be is not settled yet.
  if (source.state === 'creating') throw refusalOf('snapshot', source);
  const made = newRow(ctx, source, input);
  if (!(await insert(ctx, made))) throw tooMany();
  try {
    const taken = await runJob(ctx, source, made, input.memory);
    const { image, contentBytes, memoryKept } = taken;
    const [snapshot] = await ctx.directory
      .update(snapshots)
      .set({ image, contentBytes, memoryKept })
      .where(and(eq(snapshots.id, made.id), eq(snapshots.state, 'making')))
      .returning();
    if (!snapshot) throw gone();
    return { snapshot, sizeBytes: taken.sizeBytes };
  } catch (error) {
    ctx.after(giveUpSnapshot(ctx, made, source));
    throw error;
  }
};

/** The sweep gave it up meanwhile: it took longer than any may. */
export const gone = (): ServiceError =>
  new ServiceError('deadline_exceeded', 'The snapshot took too long and was given up. Try again.');

const runJob = async (
  ctx: Context,
  source: Sandbox,
  { id, purpose }: Snapshot,
  memory: boolean,
): Promise<TakenSnapshot> => {
  const row = await whileConflict(ctx, () => openJob(ctx, source.id, 'snapshot'));
  const key = await ctx.snapshotKeys.keyOf(id);
  const job = { ...envelopeOf(ctx, row), snapshotId: id, key, passEnvironment: purpose === 'fork', memory };
  const { snapshot } = await ctx.broker
    .lifecycle('sandbox.snapshot', runnerOf(row), job, limits.snapshotJobMs + answerMs)
    .catch((error: unknown) => abandonJob(ctx, row, 'snapshot', error));
  await closeJob(ctx, row, 'snapshot', {}, { kind: 'snapshot', message: message[purpose] }).catch((error: unknown) => {
    // A kill came in between: what was taken before is whole all the same.
    if (!(error instanceof ServiceError && error.code === 'conflict')) throw error;
  });
  if (snapshot) return snapshot;
  throw new ServiceError('internal', 'The runner failed to do this. The request id identifies it in the logs.');
};

const message: Record<SnapshotPurpose, string> = { kept: 'Snapshot taken.', fork: 'Forked.' };

const newRow = (ctx: Context, source: Sandbox, { purpose, name, tag }: NewSnapshot): Snapshot => ({
  id: newSnapshotId(),
  tenantId: ctx.actor.tenant.id,
  sandboxId: source.id,
  runnerId: source.runnerId ?? '',
  purpose,
  state: 'making',
  name,
  tag,
  template: source.template,
  image: '',
  cpus: source.cpus,
  memoryMiB: source.memoryMiB,
  memoryKept: false,
  sizeBytes: 0,
  contentBytes: 0,
  multipartId: null,
  createdAtMs: ctx.now(),
  sweepAtMs: ctx.now() + snapshotLimits.makingMs,
});

const insert = async (ctx: Context, row: Snapshot): Promise<boolean> => {
  const own = eq(snapshots.tenantId, row.tenantId);
  const rows = await ctx.directory
    .insert(snapshots)
    .select(
      sql`select ${row.id}, ${row.tenantId}, ${row.sandboxId}, ${row.runnerId}, ${row.purpose}, ${row.state}, ${row.name}, ${row.tag},
        ${row.template}, ${row.image}, ${row.cpus}, ${row.memoryMiB}, 0, 0, 0, null, ${row.createdAtMs}, ${row.sweepAtMs}
        where (select count(*) from ${snapshots} where ${own}) < ${snapshotLimits.count}`,
    )
    .returning({ id: snapshots.id });
  return rows.length > 0;
};

const tooMany = (): ServiceError =>
  new ServiceError(
    'quota_exceeded',
    `A tenant has at most ${snapshotLimits.count} snapshots; delete some. A deleted one counts for a quarter of an hour.`,
  );
