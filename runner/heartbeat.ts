import { availableParallelism, totalmem } from 'node:os';
import { statfs } from 'node:fs/promises';
import { delay, monotonicMs } from './clock.ts';
import { Refused, type ControlPlane } from './control-plane.ts';
import type { EngineReport } from './engine/port.ts';
import type { Logger } from './log.ts';
import { limits } from './protocol/limits.ts';
import type { Heartbeat, HeartbeatAnswer } from './protocol/node-report.ts';
import { memoryAvailableMiB } from './sandboxes/capacity.ts';
import type { History } from './sandboxes/history.ts';
import type { SandboxTable } from './sandboxes/table.ts';

/** Credentials that are refused so often in a row are gone for good; the process ends and joins anew. */
const REFUSALS = 3;
/** A beat that something asks for out of turn keeps this distance from the one before. */
const SOON_MS = 1_000;
/** The same, where somebody waits for it. */
const AWAITED_MS = 200;
/** A sandbox's longest history takes five. */
const HISTORY_BEATS = 6;

interface HeartbeatParts {
  controlPlane: ControlPlane;
  credentials: { runnerId: string; secret: string };
  boot: string;
  node: { region: string; sandboxLimit: number; dataDir: string; report: EngineReport };
  engine: { readonly networks: Heartbeat['networks'] };
  runtime: { readonly proven: boolean };
  sandboxes: SandboxTable;
  checkpointing: { readonly capability: Heartbeat['checkpoint'] };
  history: History;
  warm: () => Heartbeat['warm'];
  obey: (answer: HeartbeatAnswer) => void;
  /** The control plane doesn't know this runner (any more). */
  onRefused: (error: Refused) => void;
  log: Logger;
}

/** Tells the control plane every heartbeatMs what is here, and does what its answer asks. Its absence changes nothing here. */
export class Heart {
  readonly #parts: HeartbeatParts;
  #sequence = 0;
  #answeredSequence: number | undefined;
  #refusals = 0;
  #draining = false;
  #beganAtMs = -Infinity;
  #soon: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> | undefined;
  #silentSinceMs: number | undefined;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  /** Resolves after the first beat, answered or not. */
  async start(): Promise<void> {
    await this.beat();
    this.#timer = setInterval(() => void this.beat(), limits.heartbeatMs);
  }

  /** A sandbox has ended by itself: the record need not show it as running until the next beat. */
  beatSoon(): void {
    if (this.#draining) return;
    const waitMs = Math.max(0, this.#beganAtMs + SOON_MS - monotonicMs());
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.beat();
    }, waitMs);
  }

  /** Resolves when what ran in the sandbox until now is on record, or cannot be told soon. */
  async reportHistory(sandboxId: string): Promise<void> {
    for (let beats = 0; beats < HISTORY_BEATS && this.#owes(sandboxId); beats++) {
      // The beat under way may have taken its records before the last ones came.
      await this.#beating;
      await delay(Math.max(0, this.#beganAtMs + AWAITED_MS - monotonicMs()));
      if (this.#owes(sandboxId)) await this.beat();
    }
  }

  #owes(sandboxId: string): boolean {
    const reachable = this.#silentSinceMs === undefined && !this.#draining;
    return reachable && this.#parts.history.has(sandboxId);
  }

  /** One at a time. */
  async beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined;
    });
    await this.#beating;
  }

  /** One last beat, so that nothing more is placed here. */
  async drain(): Promise<void> {
    this.#draining = true;
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    await this.#beating;
    await this.beat();
  }

  async #beat(): Promise<void> {
    this.#beganAtMs = monotonicMs();
    const { controlPlane, credentials, history, obey, onRefused, log } = this.#parts;
    const batch = history.batch();
    try {
      const report = await this.#report(batch.history);
      const answer = await controlPlane.heartbeat(credentials, report);
      batch.confirm();
      this.#answered(report.sequence);
      obey(answer);
    } catch (error) {
      if (error instanceof Refused && ++this.#refusals >= REFUSALS) return onRefused(error);
      if (this.#silentSinceMs !== undefined) return; // one line an outage
      this.#silentSinceMs = Date.now();
      log.warn('control_plane_silent', { error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  #answered(sequence: number): void {
    this.#answeredSequence = sequence;
    this.#refusals = 0;
    if (this.#silentSinceMs === undefined) return;
    this.#parts.log.info('control_plane_back', { silentMs: Date.now() - this.#silentSinceMs });
    this.#silentSinceMs = undefined;
  }

  async #report(history: Heartbeat['history']): Promise<Heartbeat> {
    const { boot, node, engine, runtime, sandboxes, checkpointing, warm } = this.#parts;
    const disk = await statfs(node.dataDir);
    return {
      boot,
      sequence: this.#sequence++,
      ...(this.#answeredSequence === undefined ? {} : { answered: this.#answeredSequence }),
      draining: this.#draining,
      region: node.region,
      runtime: node.report.runtime,
      checkpoint: checkpointing.capability,
      cpus: availableParallelism(),
      memoryMiB: Math.floor(totalmem() / (1024 * 1024)),
      memoryAvailableMiB: memoryAvailableMiB(),
      diskAvailableMiB: Math.floor((disk.bavail * disk.bsize) / (1024 * 1024)),
      // Nothing is placed where it isn't known yet to run.
      sandboxLimit: runtime.proven ? node.sandboxLimit : 0,
      networks: engine.networks,
      warm: warm(),
      sandboxes: sandboxes.observed(),
      history,
    };
  }
}
