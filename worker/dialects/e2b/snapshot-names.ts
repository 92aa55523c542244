import { ServiceError } from '../../core/errors.ts';
import { isSnapshotId } from '../../core/ids.ts';
import type { Context } from '../../core/ports.ts';
import { findSnapshot, type SnapshotRef } from '../../core/snapshots/find-snapshot.ts';
import { parseTemplateReference, resolveTemplate, teamOf, type TemplateReference } from './template-names.ts';

type SnapshotRow = NonNullable<Awaited<ReturnType<typeof findSnapshot>>>;

export const defaultTag = 'default';

const isOwn = (ctx: Context, team: string | undefined): boolean =>
  team === undefined || team === teamOf(ctx.actor) || team === ctx.actor.tenant.id;

/** What a new snapshot is to be called: `[team/]name[:tag]`. Throws invalid_argument. */
export const parseNewName = (ctx: Context, text: string): { name: string; tag: string } => {
  const { team, name, tag } = parseTemplateReference(text);
  if (!isOwn(ctx, team)) {
    throw new ServiceError('invalid_argument', `Invalid name: the namespace '${team}' is not '${teamOf(ctx.actor)}'.`);
  }
  if (isSnapshotId(name)) throw new ServiceError('invalid_argument', 'Invalid name: a snapshot’s id is no name.');
  return { name, tag: tag ?? defaultTag };
};

/** As E2B writes it: by its name where it has one. */
export const viewSnapshot = (ctx: Context, { id, name, tag }: SnapshotRow) => {
  if (name === null) return { snapshotID: `${id}:${tag}`, names: [] };
  const full = `${teamOf(ctx.actor)}/${name}`;
  return { snapshotID: `${full}:${tag}`, names: [full] };
};

/** Undefined where it can be nobody's of the caller's. */
export const snapshotRefOf = (ctx: Context, { team, name, tag }: TemplateReference): SnapshotRef | undefined => {
  if (!isOwn(ctx, team)) return undefined;
  if (team === undefined && isSnapshotId(name)) return tag === undefined ? { id: name } : undefined;
  return { name, tag: tag ?? defaultTag };
};

/** What a sandbox is made from: a template, or a snapshot, which says how large it is. */
interface Source {
  template: string;
  snapshotId: string | undefined;
  size: { cpus: number; memoryMiB: number } | undefined;
}

/** A name without a team is the operator's template's first: what a snapshot is called changes nothing for it. Throws not_found. */
export const resolveSource = async (ctx: Context, text: string): Promise<Source> => {
  const reference = parseTemplateReference(text);
  const template = async () => ({ ...(await resolveTemplate(ctx, text)), snapshotId: undefined, size: undefined });
  const snapshot = async () => {
    const ref = snapshotRefOf(ctx, reference);
    const row = ref && (await findSnapshot(ctx, ref));
    return row && { template: row.template, snapshotId: row.id, size: { cpus: row.cpus, memoryMiB: row.memoryMiB } };
  };
  if (reference.team !== undefined) return (await snapshot()) ?? template();
  try {
    return await template();
  } catch (error) {
    const found = error instanceof ServiceError && error.code === 'not_found' ? await snapshot() : undefined;
    if (found) return found;
    throw error;
  }
};
