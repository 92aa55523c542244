import type { Container } from './engine/port.ts';
import type { JournalRow } from './journal.ts';
import { isAtRest } from './sandboxes/sandbox.ts';

/** What a new life finds on the engine, set against what the last one wrote down. */
export interface Reconciliation {
  /** Sandboxes whose container is alive, or stopped as it should be. */
  adopt: { row: JournalRow; container: Container }[];
  /** Sandboxes whose container is dead or gone. */
  ended: JournalRow[];
  /** Creates that were cut short: as if they had never come; delivered again, they begin anew. */
  unfinished: JournalRow[];
  /** Tombstones. */
  tombstones: JournalRow[];
  /** Containers of this installation that are nobody's: warm ones, half-made ones, dead ones. */
  remove: Container[];
}

const rests = (row: JournalRow): boolean => row.state === 'paused' && isAtRest(row.rest);

export function reconcile(rows: readonly JournalRow[], containers: readonly Container[]): Reconciliation {
  const byId = new Map(containers.map((container) => [container.id, container]));
  const result: Reconciliation = { adopt: [], ended: [], unfinished: [], tombstones: [], remove: [] };
  for (const row of rows) {
    const container = row.containerId === null ? undefined : byId.get(row.containerId);
    if (row.state === 'ended') result.tombstones.push(row);
    else if (row.state === 'creating') result.unfinished.push(row);
    else if (!container || (container.state === 'exited' && !rests(row))) result.ended.push(row);
    else result.adopt.push({ row, container });
  }
  const adopted = new Set(result.adopt.map(({ container }) => container.id));
  result.remove = containers.filter((container) => !adopted.has(container.id));
  return result;
}
