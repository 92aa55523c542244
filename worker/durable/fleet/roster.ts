import type { Heartbeat, ObservedSandbox } from '../../../runner/protocol/node-report.ts';
import type { PlacementRequest, RunnerSummary } from '../../core/ports.ts';
import { choosePlace, reservationMiB, type PlacementNode } from '../../core/placement.ts';
import type { RecordedSandbox } from '../../core/reconcile.ts';

/** HTTPS silence after which nothing is placed on a runner any more. */
export const UNREACHABLE_MS = 30_000;
const RESERVATION_MS = 60_000;
/** For a sandbox whose size is not known yet (Fleet has just started). */
const TYPICAL_MEMORY_MIB = 512;

export interface KnownRunner {
  id: string;
  /** What the record says; written when it changes. */
  status: 'online' | 'unreachable' | 'draining' | 'left';
  heardAtMs: number;
  beat: Heartbeat | undefined;
  beatAtMs: number;
  /** Rows as last read, for reports that say nothing new. */
  known: Map<string, RecordedSandbox>;
  /** On record here, absent from the last complete comparison. */
  missing: ReadonlySet<string>;
  /** Complete comparisons that are due whatever the clock says: after it joined or restarted. */
  comparisonsDue: number;
  comparedAtMs: number;
  /** Silent for so long that nothing is placed there, and nothing was on record there when that was last asked. */
  emptied: boolean;
}

interface Reservation {
  runnerId: string;
  request: PlacementRequest;
  atMs: number;
}

/** Who is there and what is promised to whom. Lost with Fleet's life and learnt again from the next beats. */
export class Roster {
  readonly #runners = new Map<string, KnownRunner>();
  readonly #reservations = new Map<string, Reservation>();
  readonly #memoryMiB = new Map<string, number>();
  /** Known to be gone, though their runner's last beat still shows them; and since when. */
  readonly #gone = new Map<string, number>();

  get runners(): IterableIterator<KnownRunner> {
    return this.#runners.values();
  }

  get(runnerId: string): KnownRunner | undefined {
    return this.#runners.get(runnerId);
  }

  /** From the record; `heardAtMs` is Fleet's own start: silence is not counted from before it listened. */
  remember(id: string, status: KnownRunner['status'], heardAtMs: number): KnownRunner {
    const runner: KnownRunner = {
      id,
      status,
      heardAtMs,
      beat: undefined,
      beatAtMs: 0,
      known: new Map(),
      missing: new Set(),
      comparisonsDue: 2,
      comparedAtMs: 0,
      emptied: false,
    };
    this.#runners.set(id, runner);
    return runner;
  }

  forget(runnerId: string): void {
    this.#runners.delete(runnerId);
    for (const [sandboxId, { runnerId: holder }] of this.#reservations) {
      if (holder === runnerId) this.#reservations.delete(sandboxId);
    }
  }

  /** False for a beat that was heard before (a repeated request): its history must not count twice. */
  hear(runner: KnownRunner, beat: Heartbeat, nowMs: number): boolean {
    const last = runner.beat;
    const fresh = last?.boot !== beat.boot || beat.sequence > last.sequence;
    if (last?.boot !== beat.boot) runner.comparisonsDue = 2;
    runner.heardAtMs = nowMs;
    runner.emptied = false;
    if (!fresh) return false;
    runner.beat = beat;
    runner.beatAtMs = nowMs;
    for (const { sandboxId } of beat.sandboxes) {
      if (this.#reservations.get(sandboxId)?.runnerId === runner.id) this.#reservations.delete(sandboxId);
    }
    return true;
  }

  learnMemory(row: RecordedSandbox): void {
    this.#memoryMiB.set(row.id, row.memoryMiB);
  }

  observed(sandboxId: string, runnerId: string): ObservedSandbox | undefined {
    return this.#runners.get(runnerId)?.beat?.sandboxes.find((sandbox) => sandbox.sandboxId === sandboxId);
  }

  place(sandboxId: string, request: PlacementRequest, nowMs: number): string | null {
    this.#reservations.delete(sandboxId);
    this.#gone.delete(sandboxId);
    const chosen = choosePlace(this.#nodes(nowMs), request, Math.random);
    if (!chosen) return null;
    this.#reservations.set(sandboxId, { runnerId: chosen.runnerId, request, atMs: nowMs });
    this.#memoryMiB.set(sandboxId, request.memoryMiB);
    return chosen.runnerId;
  }

  /** Its place is free at once, not only with the next beat. A beat that was on its way meanwhile may show it once more. */
  release(sandboxId: string, nowMs: number): void {
    this.#reservations.delete(sandboxId);
    this.#gone.set(sandboxId, nowMs);
  }

  /** Drops what lapsed, and the sizes of sandboxes that no runner reports. */
  expire(nowMs: number): void {
    for (const [sandboxId, { atMs }] of this.#reservations) {
      if (nowMs - atMs >= RESERVATION_MS) this.#reservations.delete(sandboxId);
    }
    for (const [sandboxId, atMs] of this.#gone) if (nowMs - atMs >= RESERVATION_MS) this.#gone.delete(sandboxId);
    const live = new Set(
      [...this.#runners.values()].flatMap((runner) => (runner.beat?.sandboxes ?? []).map(({ sandboxId }) => sandboxId)),
    );
    for (const sandboxId of this.#memoryMiB.keys()) {
      if (!live.has(sandboxId) && !this.#reservations.has(sandboxId)) this.#memoryMiB.delete(sandboxId);
    }
  }

  /** `online`: those that take sandboxes; one that drains, or has yet to find out whether it can, is neither online nor unreachable. */
  summary(nowMs: number): { online: number; unreachable: number; networks: ('on' | 'off')[]; warm: number } {
    const heard = [...this.#runners.values()].filter((runner) => runner.beat);
    const takes = ({ beat }: KnownRunner): boolean => beat?.draining !== true && beat?.sandboxLimit !== 0;
    const online = heard.filter((runner) => isOnline(runner, nowMs) && takes(runner));
    return {
      online: online.length,
      unreachable: [...this.#runners.values()].filter((runner) => !isOnline(runner, nowMs)).length,
      networks: [...new Set(online.flatMap((runner) => runner.beat?.networks ?? []))],
      warm: online.reduce(
        (sum, runner) => sum + (runner.beat?.warm ?? []).reduce((count, entry) => count + entry.count, 0),
        0,
      ),
    };
  }

  list(nowMs: number): RunnerSummary[] {
    return [...this.#runners.values()].flatMap((runner) => {
      const { beat } = runner;
      if (!beat) return [];
      const { region, cpus, memoryMiB, memoryAvailableMiB, sandboxLimit, networks, runtime, checkpoint } = beat;
      const heard = isOnline(runner, nowMs);
      return {
        runnerId: runner.id,
        status: heard ? (beat.draining ? 'draining' : 'online') : 'unreachable',
        heardAtMs: runner.heardAtMs,
        sandboxes: beat.sandboxes.filter(({ state }) => state !== 'ended').length,
        region,
        cpus,
        memoryMiB,
        memoryAvailableMiB,
        sandboxLimit,
        networks,
        runtime,
        checkpoint,
      };
    });
  }

  #nodes(nowMs: number): PlacementNode[] {
    const reserved = Map.groupBy(this.#reservations.values(), (reservation) => reservation.runnerId);
    return [...this.#runners.values()].flatMap((runner) => {
      return runner.beat ? [this.#node(runner, runner.beat, reserved.get(runner.id) ?? [], nowMs)] : [];
    });
  }

  #node(runner: KnownRunner, beat: Heartbeat, reservations: readonly Reservation[], nowMs: number): PlacementNode {
    const live = beat.sandboxes.filter(({ sandboxId, state }) => state !== 'ended' && !this.#gone.has(sandboxId));
    const current = reservations.filter((reservation) => nowMs - reservation.atMs < RESERVATION_MS);
    const unseenMiB = current.reduce((sum, { request }) => sum + reservationMiB(request.memoryMiB), 0);
    // One that gave its memory back has none reserved: when it is resumed, its runner has the last word.
    const seenMiB = live
      .filter(({ memoryFreed }) => memoryFreed !== true)
      .reduce((sum, { sandboxId }) => sum + reservationMiB(this.#memoryMiB.get(sandboxId) ?? TYPICAL_MEMORY_MIB), 0);
    return {
      runnerId: runner.id,
      available: isOnline(runner, nowMs) && !beat.draining,
      networks: beat.networks,
      restoresMemory: beat.checkpoint === 'criu' || beat.checkpoint === 'gvisor',
      memoryMiB: beat.memoryMiB,
      memoryAvailableMiB: beat.memoryAvailableMiB,
      sandboxLimit: beat.sandboxLimit,
      sandboxes: live.length + current.length,
      reservedMiB: seenMiB + unseenMiB,
      unseenMiB,
      warm: beat.warm.map((entry) => ({
        ...entry,
        count: Math.max(
          entry.count -
            current.filter(({ request }) => request.template === entry.template && request.network === entry.network)
              .length,
          0,
        ),
      })),
    };
  }
}

export const isOnline = (runner: KnownRunner, nowMs: number): boolean =>
  runner.beat !== undefined && nowMs - runner.heardAtMs < UNREACHABLE_MS;
