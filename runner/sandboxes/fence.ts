/**
 * The two fences, as pure rules. `epoch` counts placements: another one than ours means that the sender's route is stale.
 * `revision` counts a sandbox's lifecycle verbs: a lower one has been overtaken.
 */
export interface Known {
  epoch: number;
  revision: number;
  ended: boolean;
}

export type LifecycleKind = 'create' | 'kill' | 'change';

export type LifecycleVerdict =
  | 'proceed'
  /** Same epoch and revision: joined while it runs, answered from the journal once done, done again if a crash cut it short. */
  | 'repeat'
  /** A later placement of the same sandbox here: what is left of the earlier one goes first. */
  | 'replace'
  | 'stale_revision'
  | 'sandbox_not_found';

export function fenceLifecycle(
  known: Known | undefined,
  job: { kind: LifecycleKind; epoch: number; revision: number },
): LifecycleVerdict {
  if (known === undefined) return job.kind === 'change' ? 'sandbox_not_found' : 'proceed';
  if (job.epoch < known.epoch) return 'sandbox_not_found';
  if (job.epoch > known.epoch) return job.kind === 'change' ? 'sandbox_not_found' : 'replace';
  if (job.revision < known.revision) return 'stale_revision';
  if (job.revision === known.revision) return 'repeat';
  if (job.kind === 'kill') return 'proceed';
  if (known.ended) return job.kind === 'create' ? 'stale_revision' : 'sandbox_not_found';
  return job.kind === 'create' ? 'stale_revision' : 'proceed';
}
