import type { ContainerEngine } from '../engine/port.ts';
import { monotonicMs, wallClockOf } from '../clock.ts';
import type { Journal, JournalRow } from '../journal.ts';
import type { Logger } from '../log.ts';
import { RunnerError } from '../protocol/errors.ts';
import { beatSandboxesMax, type EndReason, type Heartbeat } from '../protocol/node-report.ts';
import type { Containers } from './containers.ts';
import { touchDeadline, type Deadline } from './deadline.ts';
import { isLive, memoryOf, type Home, type LiveSandbox, type Sandbox } from './sandbox.ts';

/** How far behind the truth the journal may be about an idle-mode sandbox's activity. */
export const ACTIVITY_LAG_MS = 5_000;
export const TOMBSTONE_MS = 60 * 60 * 1000;
const DUE_AGAIN_MS = 5_000;
/** setTimeout's own limit. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

interface TableParts {
  journal: Journal;
  engine: ContainerEngine;
  containers: Containers;
  kernelBoot: string;
  /** One that nobody asked to end has ended. */
  onEnded: () => void;
  /** The time of one that is to be paused then is up. */
  onDue: (sandbox: Sandbox) => void;
  log: Logger;
}

/** The sandboxes of this runner: in memory, in the journal, and each with its deadline's timer. */
export class SandboxTable {
  readonly #parts: TableParts;
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #byContainer = new Map<string, Sandbox>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #endings = new Map<Sandbox, Promise<void>>();
  readonly #journaledExpiryMs = new WeakMap<Sandbox, number>();

  constructor(parts: TableParts) {
    this.#parts = parts;
  }

  find(sandboxId: string): Sandbox | undefined {
    return this.#sandboxes.get(sandboxId);
  }

  findByContainer(containerId: string): Sandbox | undefined {
    return this.#byContainer.get(containerId);
  }

  all(): Sandbox[] {
    return [...this.#sandboxes.values()];
  }

  /** Those that hold a container or are about to. */
  get held(): number {
    return this.all().filter((sandbox) => sandbox.state !== 'ended').length;
  }

  /** The sandbox in which an exec-queue job may run. */
  getLive(sandboxId: string, epoch: number): LiveSandbox {
    const sandbox = this.#sandboxes.get(sandboxId);
    if (!sandbox || sandbox.epoch !== epoch || sandbox.state === 'ended') {
      throw new RunnerError('sandbox_not_found', 'The sandbox is not on this node.');
    }
    // For whoever asks it has ended: there is no way back from here, as there is from a pause.
    if (sandbox.state === 'ending') throw new RunnerError('sandbox_not_found', 'The sandbox is ending.');
    if (!isLive(sandbox)) throw new RunnerError('sandbox_not_running', `The sandbox is ${sandbox.state}.`);
    return sandbox;
  }

  /** Enters or replaces a sandbox; an earlier one of this id must have ended. */
  put(sandbox: Sandbox): void {
    this.#sandboxes.set(sandbox.id, sandbox);
    if (sandbox.home) this.#byContainer.set(sandbox.home.containerId, sandbox);
    this.save(sandbox);
  }

  /** From the container's first moment as this sandbox: written before the agent hears anything. */
  settle(sandbox: Sandbox, home: Home): void {
    sandbox.home = home;
    this.#byContainer.set(home.containerId, sandbox);
    this.save(sandbox);
  }

  save(sandbox: Sandbox): void {
    this.#journaledExpiryMs.set(sandbox, sandbox.deadline.expiresAtMs);
    this.#parts.journal.save(journalRow(sandbox, this.#parts.kernelBoot));
  }

  /** As if it had never come: a create that was refused. */
  drop(sandbox: Sandbox): void {
    if (this.#sandboxes.get(sandbox.id) !== sandbox) return;
    this.#disarm(sandbox);
    this.#sandboxes.delete(sandbox.id);
    if (sandbox.home) this.#byContainer.delete(sandbox.home.containerId);
    this.#parts.journal.forget(sandbox.id);
  }

  setDeadline(sandbox: Sandbox, deadline: Deadline): void {
    sandbox.deadline = deadline;
    this.save(sandbox);
    this.arm(sandbox);
  }

  /** Activity. Costs a comparison; the journal hears of it at most every ACTIVITY_LAG_MS. */
  touch(sandbox: Sandbox): void {
    if (sandbox.deadline.mode === 'fixed') return;
    sandbox.deadline = touchDeadline(sandbox.deadline, monotonicMs());
    const journaledMs = this.#journaledExpiryMs.get(sandbox) ?? 0;
    if (sandbox.deadline.expiresAtMs - journaledMs > ACTIVITY_LAG_MS) this.save(sandbox);
  }

  /** (Re)starts the deadline's timer. */
  arm(sandbox: Sandbox): void {
    this.#armIn(sandbox, sandbox.deadline.expiresAtMs - monotonicMs());
  }

  /** Of one whose pause at its deadline has failed: it is due again in a while. */
  armAgain(sandbox: Sandbox): void {
    this.#armIn(sandbox, DUE_AGAIN_MS);
  }

  #armIn(sandbox: Sandbox, delayMs: number): void {
    this.#disarm(sandbox);
    const waitMs = Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS);
    this.#timers.set(
      sandbox.id,
      setTimeout(() => this.#onTimer(sandbox), Math.ceil(waitMs)),
    );
  }

  /**
   * Ends a sandbox for good. The first reason stays. Resolves once its container is gone; rejects with engine_failed when the engine
   * refuses, but goes on trying until it is.
   */
  async end(sandbox: Sandbox, reason: EndReason, graceMs = 0): Promise<void> {
    if (sandbox.state === 'ended') return;
    const known = this.#endings.get(sandbox);
    if (known) return known;
    sandbox.endReason = reason;
    const wasLive = isLive(sandbox);
    sandbox.state = 'ending';
    this.#disarm(sandbox);
    const ending = this.#end(sandbox, wasLive ? graceMs : 0).finally(() => this.#endings.delete(sandbox));
    this.#endings.set(sandbox, ending);
    return ending;
  }

  /** An ended sandbox whose container isn't, or never was, here. */
  markEnded(sandbox: Sandbox, reason: EndReason): void {
    this.#disarm(sandbox);
    sandbox.state = 'ended';
    sandbox.endReason = reason;
    sandbox.endedAtMs = Date.now();
    if (sandbox.home) this.#byContainer.delete(sandbox.home.containerId);
    sandbox.home = undefined;
    sandbox.rest = undefined;
    this.#parts.journal.forgetEnvironment(sandbox.id);
    if (this.#sandboxes.get(sandbox.id) === sandbox) this.save(sandbox);
    this.#parts.log.info('sandbox_ended', { sandboxId: sandbox.id, epoch: sandbox.epoch, reason });
    if (reason !== 'killed') this.#parts.onEnded();
  }

  /** The control plane has this end on record. */
  acknowledge(sandboxId: string, epoch: number): void {
    const sandbox = this.#sandboxes.get(sandboxId);
    if (!sandbox || sandbox.epoch !== epoch || sandbox.state !== 'ended') return;
    sandbox.recorded = true;
    this.save(sandbox);
  }

  /** Forgets tombstones after their hour. */
  sweep(): void {
    const before = Date.now() - TOMBSTONE_MS;
    for (const sandbox of this.all()) {
      if (sandbox.recorded && (sandbox.endedAtMs ?? Infinity) < before) this.#sandboxes.delete(sandbox.id);
    }
    this.#parts.journal.sweep(before);
  }

  /** As many as a beat takes; what has ended waits its turn behind what lives. */
  observed(): Heartbeat['sandboxes'] {
    return this.all()
      .filter((sandbox) => !sandbox.recorded)
      .toSorted((a, b) => Number(a.state === 'ended') - Number(b.state === 'ended'))
      .slice(0, beatSandboxesMax)
      .map((sandbox) => ({
        sandboxId: sandbox.id,
        epoch: sandbox.epoch,
        revision: sandbox.revision,
        // What is on its way is still there.
        state: sandbox.state === 'ending' || sandbox.state === 'pausing' ? 'running' : sandbox.state,
        expiresAtMs: expiresAtMs(sandbox),
        ...(sandbox.changing ? { changing: true } : {}),
        ...memoryOf(sandbox),
        ...(sandbox.state === 'ended' && sandbox.endReason ? { endReason: sandbox.endReason } : {}),
        ...(sandbox.state === 'ended' && sandbox.endedAtMs ? { endedAtMs: sandbox.endedAtMs } : {}),
      }));
  }

  /** The runner stops: no timer fires any more; what runs, runs on. */
  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    for (const sandbox of this.all()) for (const running of sandbox.processes.values()) running.leaveRunning();
  }

  #onTimer(sandbox: Sandbox): void {
    if (sandbox.openCalls > 0) this.touch(sandbox);
    if (sandbox.deadline.expiresAtMs > monotonicMs()) return this.arm(sandbox);
    this.#parts.log.info('sandbox_deadline', { sandboxId: sandbox.id, epoch: sandbox.epoch });
    if (sandbox.onTimeout === 'pause' && sandbox.state === 'running') return this.#parts.onDue(sandbox);
    this.end(sandbox, 'timeout').catch((error: unknown) => this.#reportEnding(sandbox, error));
  }

  #disarm(sandbox: Sandbox): void {
    clearTimeout(this.#timers.get(sandbox.id));
    this.#timers.delete(sandbox.id);
  }

  async #end(sandbox: Sandbox, graceMs: number): Promise<void> {
    const { home } = sandbox;
    if (home && graceMs > 0) {
      await home.session.terminateAll(graceMs).catch((error: unknown) => this.#reportEnding(sandbox, error));
    }
    for (const call of sandbox.processes.values()) {
      call.sandboxEnded(sandbox.endReason === 'oom' ? 'oom' : 'sandbox_ended');
    }
    if (home) {
      await this.#remove(sandbox, home.containerId);
      await home.session.close().catch((error: unknown) => this.#reportEnding(sandbox, error));
    }
    this.markEnded(sandbox, sandbox.endReason ?? 'failed');
  }

  async #remove(sandbox: Sandbox, containerId: string): Promise<void> {
    try {
      await this.#parts.engine.remove(containerId);
    } catch (error) {
      this.#reportEnding(sandbox, error);
      void this.#removeLater(sandbox, containerId);
      throw new RunnerError('engine_failed', 'The container could not be removed yet; it will be.', { cause: error });
    }
  }

  async #removeLater(sandbox: Sandbox, containerId: string): Promise<void> {
    try {
      await this.#parts.containers.remove(containerId);
      await sandbox.home?.session.close();
      if (sandbox.state === 'ending') this.markEnded(sandbox, sandbox.endReason ?? 'failed');
    } catch (error) {
      this.#reportEnding(sandbox, error); // the runner stops: the next life finds it in the journal
    }
  }

  #reportEnding(sandbox: Sandbox, error: unknown): void {
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#parts.log.warn('sandbox_ending_trouble', { sandboxId: sandbox.id, epoch: sandbox.epoch, error: cause });
  }
}

/** The wall-clock deadline as the edge is told. */
export function expiresAtMs(sandbox: Sandbox): number | null {
  if (sandbox.state !== 'running' && sandbox.state !== 'paused') return null;
  return wallClockOf(sandbox.deadline.expiresAtMs);
}

/** A pause that has begun to end processes is seen through by the next life; an end is asked for again. */
function journaledState(state: Sandbox['state']): JournalRow['state'] {
  switch (state) {
    case 'pausing':
      return 'paused';
    case 'ending':
      return 'running';
    default:
      return state;
  }
}

function journalRow(sandbox: Sandbox, kernelBoot: string): JournalRow {
  return {
    sandboxId: sandbox.id,
    tenantId: sandbox.tenantId,
    epoch: sandbox.epoch,
    revision: sandbox.revision,
    state: journaledState(sandbox.state),
    rest: sandbox.rest ?? null,
    onTimeout: sandbox.onTimeout,
    keepMemory: sandbox.keepMemory,
    containerId: sandbox.home?.containerId ?? null,
    slot: sandbox.home?.slot ?? null,
    cpus: sandbox.cpus,
    memoryMiB: sandbox.memoryMiB,
    egress: sandbox.egress,
    expiresAtMonotonicMs: sandbox.deadline.expiresAtMs,
    kernelBoot,
    deadlineMode: sandbox.deadline.mode,
    ttlMs: sandbox.deadline.ttlMs,
    pausedTtlMs: sandbox.deadline.pausedTtlMs,
    expiresAtWallMs: wallClockOf(sandbox.deadline.expiresAtMs),
    endReason: sandbox.endReason ?? null,
    endedAtMs: sandbox.endedAtMs ?? null,
    recorded: sandbox.recorded,
  };
}
