import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { AgentSession } from '../agent/session.ts';
import { delay, within } from '../clock.ts';
import type { CapturedMemory } from '../engine/memory-images.ts';
import type { ContainerEngine } from '../engine/port.ts';
import { whenAgentReady } from '../engine/ready.ts';
import type { Logger } from '../log.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { SandboxSpec } from '../protocol/jobs.ts';
import type { Home } from './sandbox.ts';

const REMOVE_WAIT_MS = 5_000;
const REMOVE_RETRY_FIRST_MS = 250;
const REMOVE_RETRY_MAX_MS = 10_000;
const SOCKET_FOLDER = 's';

/** Where processes begin unless told otherwise. */
export const DEFAULT_CWD = '/home/user';

/** A running container with a connected agent, nobody's yet. */
export interface Obtained extends Home {
  /** The image's own environment: the agent runs with an empty one. */
  imageEnv: Record<string, string>;
}

interface ObtainedFor {
  container: Obtained;
  warm: boolean;
  /** Whether what it was to begin with goes on in it. */
  memoryKept: boolean;
}

/** What a container begins with instead of its image alone. */
export interface Beginning {
  filesystem: AsyncIterable<Uint8Array>;
  memory: CapturedMemory | undefined;
}

/** The warm pool, as far as a create needs it. */
export interface WarmSource {
  /** A container that nobody has used, of the pool's standard size; undefined when there is none. */
  claim(wanted: { image: string; network: 'on' | 'off' }): Obtained | undefined;
  /** Holds refills back while a create is under way. */
  yieldTo<T>(create: () => Promise<T>): Promise<T>;
}

interface ContainersParts {
  engine: ContainerEngine;
  pool: WarmSource;
  openSession: (socketDir: string) => Promise<AgentSession>;
  dataDir: string;
  /** What the pool's containers were made with. */
  warmSize: { cpus: number; memoryMiB: number; diskMiB: number };
  /** Whether those can be fitted to another size. */
  resizes: boolean;
  log: Logger;
}

/** The directory of one container's agent socket; short, since a socket's path has at most 107 bytes. */
export const socketDirOf = (dataDir: string, slot: string): string => join(dataDir, SOCKET_FOLDER, slot);

/** Gets containers with an agent in them, and gets rid of them. */
export class Containers {
  readonly #parts: ContainersParts;
  readonly #stop = new AbortController();
  readonly #slots = new Set<string>();

  constructor(parts: ContainersParts) {
    this.#parts = parts;
  }

  /** Of containers that are no sandbox's (yet), and in use all the same. */
  get slots(): ReadonlySet<string> {
    return this.#slots;
  }

  /** A new slot for a container that `work` makes, and answers for as long as it goes on. */
  async withSlot<T>(work: (slot: string) => Promise<T>): Promise<T> {
    return await this.#using(randomBytes(8).toString('hex'), work);
  }

  async #using<T>(slot: string, work: (slot: string) => Promise<T>): Promise<T> {
    this.#slots.add(slot);
    try {
      return await work(slot);
    } finally {
      this.#slots.delete(slot);
    }
  }

  /** A whole create, from the claim to the agent's answer: no refill of the pool begins meanwhile. */
  async create<T>(work: () => Promise<T>): Promise<T> {
    return await this.#parts.pool.yieldTo(work);
  }

  /** Throws image_unsupported, engine_failed or the signal's reason; then nothing is left behind. */
  async obtain(spec: SandboxSpec, signal: AbortSignal, beginning?: Beginning): Promise<ObtainedFor> {
    // What a container begins with is put in place before it is started, and a warm one has been.
    if (beginning) return { ...(await this.#startCold(spec, signal, beginning)), warm: false };
    const fits = this.#parts.resizes || this.#hasWarmSize(spec);
    const claimed = fits ? this.#parts.pool.claim({ image: spec.template.image, network: spec.network }) : undefined;
    if (!claimed) return { ...(await this.#startCold(spec, signal)), warm: false };
    await this.#using(claimed.slot, () => this.#prepare(claimed, spec));
    return { container: claimed, warm: true, memoryKept: false };
  }

  async #prepare(claimed: Home, spec: SandboxSpec): Promise<void> {
    try {
      // Nothing but the agent has run in it so far.
      await Promise.all([this.#fit(claimed, spec), this.#confine(claimed, spec)]);
    } catch (error) {
      await this.discard(claimed);
      throw engineFault(error);
    }
  }

  async #confine(container: Home, { egress }: SandboxSpec): Promise<void> {
    if (egress.deny.length > 0) await this.#parts.engine.setEgress(container.containerId, egress);
  }

  /** Starts a stopped container again and waits for its agent. Throws engine_failed, agent_unavailable or the signal's reason; then it is stopped. */
  async restart({ containerId, session }: Home, signal: AbortSignal): Promise<void> {
    const { engine } = this.#parts;
    signal.throwIfAborted();
    await engine.restart(containerId).catch((error: unknown) => {
      throw engineFault(error);
    });
    try {
      await whenAgentReady(session, { engine, id: containerId }, signal);
    } catch (error) {
      await engine.stop(containerId).catch((stopping: unknown) => this.#report('container_stop_failed', stopping));
      throw error;
    }
  }

  /** Removes a container that nobody runs in. See removeSoon. */
  async discard(home: Home): Promise<void> {
    await home.session.close().catch((error: unknown) => this.#report('session_close_failed', error));
    await this.removeSoon(home.containerId);
  }

  /** Resolves once it is gone, or REMOVE_WAIT_MS later: then it is tried on, beside everything else. */
  async removeSoon(containerId: string): Promise<void> {
    const removal = this.remove(containerId);
    await within(removal, REMOVE_WAIT_MS, () => new Error('the container is still there; its removal goes on')).catch(
      (error: unknown) => this.#report('container_remove_delayed', error),
    );
  }

  /** Resolves once the container is gone, however long the engine is away; rejects only when the runner stops. */
  async remove(containerId: string): Promise<void> {
    for (let waitMs = REMOVE_RETRY_FIRST_MS; ; waitMs = Math.min(waitMs * 2, REMOVE_RETRY_MAX_MS)) {
      try {
        return await this.#parts.engine.remove(containerId);
      } catch (error) {
        this.#report('container_remove_failed', error);
        await delay(waitMs, this.#stop.signal);
      }
    }
  }

  stop(): void {
    this.#stop.abort(new Error('the runner stops'));
  }

  #hasWarmSize(spec: SandboxSpec): boolean {
    const { cpus, memoryMiB } = this.#parts.warmSize;
    return spec.cpus === cpus && spec.memoryMiB === memoryMiB;
  }

  async #fit(home: Home, spec: SandboxSpec): Promise<void> {
    if (this.#hasWarmSize(spec)) return;
    await this.#parts.engine.resize(home.containerId, { cpus: spec.cpus, memoryMiB: spec.memoryMiB });
  }

  async #startCold(spec: SandboxSpec, signal: AbortSignal, beginning?: Beginning): Promise<Omit<ObtainedFor, 'warm'>> {
    return await this.withSlot((slot) => this.#startSlot(slot, spec, signal, beginning));
  }

  async #startSlot(
    slot: string,
    spec: SandboxSpec,
    signal: AbortSignal,
    beginning: Beginning | undefined,
  ): Promise<Omit<ObtainedFor, 'warm'>> {
    const socketDir = socketDirOf(this.#parts.dataDir, slot);
    const session = await this.#parts.openSession(socketDir);
    let containerId: string | undefined;
    try {
      const { cpus, memoryMiB, network, template, egress } = spec;
      const { diskMiB } = this.#parts.warmSize;
      const size = { cpus, memoryMiB, diskMiB };
      const { filesystem, memory } = beginning ?? {};
      const begin = {
        ...(egress.deny.length > 0 ? { egress } : {}),
        ...(filesystem ? { filesystem } : {}),
        ...(memory ? { memory } : {}),
      };
      const request = { slot, image: template.image, network, ...size, socketDir, ...begin };
      const started = await this.#parts.engine.start(request, signal);
      containerId = started.id;
      const container = { containerId, slot, session, imageEnv: started.imageEnv };
      if (started.memoryKept && (await this.#goesOn(container, signal))) return { container, memoryKept: true };
      await whenAgentReady(session, { engine: this.#parts.engine, id: started.id }, signal);
      return { container, memoryKept: false };
    } catch (error) {
      await session.close().catch((closing: unknown) => this.#report('session_close_failed', closing));
      if (containerId) await this.removeSoon(containerId);
      throw signal.aborted ? signal.reason : engineFault(error);
    }
  }

  /** Whether the agent of one that was brought back answers; where it doesn't, the container is started with its files. */
  async #goesOn(home: Home, signal: AbortSignal): Promise<boolean> {
    try {
      await whenAgentReady(home.session, { engine: this.#parts.engine, id: home.containerId }, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#report('restore_failed', error);
      await this.#parts.engine.stop(home.containerId);
      await this.#parts.engine.restart(home.containerId);
      return false;
    }
  }

  #report(event: string, error: unknown): void {
    this.#parts.log.warn(event, { error: error instanceof Error ? error : new Error(String(error)) });
  }
}

function engineFault(error: unknown): RunnerError {
  if (error instanceof RunnerError) return error;
  return new RunnerError('engine_failed', 'The container engine could not start the sandbox.', { cause: error });
}
