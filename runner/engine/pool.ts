import { randomBytes } from 'node:crypto';
import type { AgentSession } from '../agent/session.ts';
import { delay } from '../clock.ts';
import type { Logger } from '../log.ts';
import { asError } from './docker-client.ts';
import type { ContainerEngine, StartedContainer } from './port.ts';
import { whenAgentReady } from './ready.ts';

/**
 * Starting a container takes the engine a tenth of a second of CPU, which the create before it and its first command should not have
 * to share: a refill begins this long after the last create has ended.
 */
const settleMs = 100;
/** Refills give way to creates, but not for ever: a node under steady load would never get warm again. */
const yieldMaxMs = 1_000;
const sweepMs = 1_000;
/** Sweeps in a row without a connection after which a member is given up; an agent dials again every 100 ms. */
const missedSweepsMax = 2;
const backoffFirstMs = 1_000;
const backoffMaxMs = 60_000;

interface PoolTarget {
  template: string;
  image: string;
  network: 'on' | 'off';
  count: number;
}

/** A started container that nobody has used, its agent connected. */
interface WarmContainer {
  containerId: string;
  slot: string;
  session: AgentSession;
  /** The image's own environment. */
  imageEnv: Record<string, string>;
}

interface PoolStats {
  template: string;
  image: string;
  network: 'on' | 'off';
  target: number;
  ready: number;
  /** Of the present row of failed refills; null when the last one succeeded. */
  failure: string | null;
}

export interface WarmPoolParts {
  engine: Pick<ContainerEngine, 'start' | 'remove' | 'findExit'>;
  /** Makes the socket's directory and listens in it. */
  openSession(socketDir: string): Promise<AgentSession>;
  socketDirOf(slot: string): string;
  /** Of every warm container; a claim for another size resizes it. */
  size: { cpus: number; memoryMiB: number; diskMiB: number };
  /** Most members at a time, whatever the targets say. */
  limit: number;
  /** Asked before each refill: whether the node has room for one more. */
  hasRoom(): boolean;
  log: Logger;
}

interface Member extends WarmContainer {
  missedSweeps: number;
}

/** One kind of container. Runtime and sudo follow from the node and the image, so they need no place of their own in the key. */
interface Shelf {
  target: PoolTarget;
  members: Member[];
  failures: number;
  failure: string | null;
  notBeforeMs: number;
}

/** Started containers, kept ready so that a create is a claim. Members are used once; refills happen one at a time. */
export class WarmPool {
  readonly #parts: WarmPoolParts;
  readonly #shelves = new Map<string, Shelf>();
  readonly #stop = new AbortController();
  readonly #removals = new Set<Promise<void>>();
  readonly #sweeper: NodeJS.Timeout;
  #creates = 0;
  #lastCreateEndedMs = -Infinity;
  #wakeYielding: (() => void) | undefined;
  #starting: string | undefined;
  #refilling: Promise<void> | undefined;

  constructor(parts: WarmPoolParts) {
    this.#parts = parts;
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs).unref();
  }

  /** Takes a member off its shelf, or undefined. Synchronous: the caller owns it from now on. */
  claim(wanted: { image: string; network: 'on' | 'off' }): WarmContainer | undefined {
    const shelf = this.#shelves.get(shelfKey(wanted));
    const at = shelf?.members.findIndex(({ session }) => session.connected) ?? -1;
    const [member] = at < 0 ? [] : (shelf?.members.splice(at, 1) ?? []);
    if (member === undefined) return undefined;
    this.#refill();
    const { containerId, slot, session, imageEnv } = member;
    return { containerId, slot, session, imageEnv };
  }

  /** No refill begins while `create` is under way or has just ended (for up to yieldMaxMs); resolves or rejects as it does. */
  async yieldTo<T>(create: () => Promise<T>): Promise<T> {
    this.#creates += 1;
    try {
      return await create();
    } finally {
      this.#creates -= 1;
      this.#lastCreateEndedMs = performance.now();
      if (this.#creates === 0) this.#wakeYielding?.();
    }
  }

  /** What there should be from now on; kinds that are not named are drained. */
  setTargets(targets: PoolTarget[]): void {
    const wanted = new Map(targets.map((target) => [shelfKey(target), target]));
    for (const [key, shelf] of this.#shelves) {
      if (!wanted.has(key)) shelf.target = { ...shelf.target, count: 0 };
    }
    for (const [key, target] of wanted) {
      const shelf = this.#shelves.get(key);
      if (shelf === undefined)
        this.#shelves.set(key, { target, members: [], failures: 0, failure: null, notBeforeMs: 0 });
      else shelf.target = target;
    }
    this.#drain();
    this.#refill();
  }

  /** A container has ended by itself. Fine when it is none of the pool's. */
  containerEnded(containerId: string): void {
    this.#drop(({ containerId: own }) => own === containerId, 'its container ended');
  }

  /** Slots of all containers that the pool answers for, the one that is being started included. */
  get slots(): ReadonlySet<string> {
    const ready = [...this.#shelves.values()].flatMap(({ members }) => members.map(({ slot }) => slot));
    return new Set(this.#starting === undefined ? ready : [...ready, this.#starting]);
  }

  stats(): PoolStats[] {
    return [...this.#shelves.values()].map(({ target, members, failure }) => ({
      template: target.template,
      image: target.image,
      network: target.network,
      target: target.count,
      ready: members.filter(({ session }) => session.connected).length,
      failure,
    }));
  }

  /** Removes all members. Resolves once nothing of the pool is left on the engine. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#stop.abort(new Error('the warm pool is closed'));
    this.#wakeYielding?.();
    await this.#refilling;
    for (const shelf of this.#shelves.values()) for (const member of shelf.members.splice(0)) this.#remove(member);
    this.#shelves.clear();
    await Promise.all(this.#removals);
  }

  #sweep(): void {
    for (const { members } of this.#shelves.values()) {
      for (const member of members) member.missedSweeps = member.session.connected ? 0 : member.missedSweeps + 1;
    }
    this.#drop(({ missedSweeps }) => missedSweeps >= missedSweepsMax, 'its agent is gone');
    this.#refill();
  }

  #drop(unfit: (member: Member) => boolean, reason: string): void {
    for (const shelf of this.#shelves.values()) {
      for (const member of shelf.members.filter(unfit)) {
        this.#parts.log.warn('warm_container_dropped', { slot: member.slot, reason });
        shelf.members.splice(shelf.members.indexOf(member), 1);
        this.#remove(member);
        // An image whose containers die by themselves must not be started in a circle.
        this.#delayShelf(shelf, reason);
      }
    }
  }

  #drain(): void {
    for (const [key, shelf] of this.#shelves) {
      const surplus = shelf.members.splice(shelf.target.count);
      for (const member of surplus) this.#remove(member);
      if (shelf.target.count === 0) this.#shelves.delete(key);
    }
  }

  /** Starts the one refill loop if it isn't running. */
  #refill(): void {
    if (this.#refilling !== undefined || this.#stop.signal.aborted) return;
    if (this.#nextShelf() === undefined) return;
    this.#refilling = this.#refillLoop().finally(() => {
      this.#refilling = undefined;
    });
  }

  async #refillLoop(): Promise<void> {
    for (;;) {
      await this.#yieldToCreates();
      const shelf = this.#stop.signal.aborted ? undefined : this.#nextShelf();
      if (shelf === undefined) return;
      try {
        const member = await this.#startMember(shelf.target);
        shelf.failures = 0;
        shelf.failure = null;
        shelf.members.push(member);
        this.#drain();
        if (this.#shelves.get(shelfKey(shelf.target)) !== shelf)
          shelf.members.splice(0).forEach((left) => this.#remove(left));
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#parts.log.warn('warm_start_failed', { template: shelf.target.template, error: asError(error) });
        this.#delayShelf(shelf, asError(error).message);
      }
    }
  }

  /** The kind that lacks the largest share of its target, among those that may be tried now. */
  #nextShelf(): Shelf | undefined {
    const shelves = [...this.#shelves.values()];
    const members = shelves.reduce((sum, shelf) => sum + shelf.members.length, 0);
    if (members >= this.#parts.limit || !this.#parts.hasRoom()) return undefined;
    const share = ({ members: { length }, target }: Shelf): number => length / target.count;
    return shelves
      .filter((shelf) => shelf.members.length < shelf.target.count && performance.now() >= shelf.notBeforeMs)
      .sort((a, b) => share(a) - share(b))[0];
  }

  async #yieldToCreates(): Promise<void> {
    const giveUpAtMs = performance.now() + yieldMaxMs;
    while (!this.#stop.signal.aborted) {
      const quietAtMs = this.#creates > 0 ? Infinity : this.#lastCreateEndedMs + settleMs;
      const waitMs = Math.min(quietAtMs, giveUpAtMs) - performance.now();
      if (waitMs <= 0) return;
      await this.#createsEndOr(waitMs);
    }
  }

  async #createsEndOr(waitMs: number): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wakeYielding = resolve;
    });
    const given = new AbortController();
    await Promise.race([woken, delay(waitMs, given.signal).catch(() => undefined)]);
    given.abort();
    this.#wakeYielding = undefined;
  }

  async #startMember({ image, network }: PoolTarget): Promise<Member> {
    const slot = randomBytes(8).toString('hex');
    this.#starting = slot;
    let session: AgentSession | undefined;
    let container: StartedContainer | undefined;
    try {
      const socketDir = this.#parts.socketDirOf(slot);
      session = await this.#parts.openSession(socketDir);
      const request = { slot, image, network, socketDir, ...this.#parts.size };
      container = await this.#parts.engine.start(request, this.#stop.signal);
      await whenAgentReady(session, { engine: this.#parts.engine, id: container.id }, this.#stop.signal);
      return { containerId: container.id, slot, session, imageEnv: container.imageEnv, missedSweeps: 0 };
    } catch (error) {
      await this.#discard(slot, session, container?.id);
      throw error;
    } finally {
      this.#starting = undefined;
    }
  }

  #remove({ slot, session, containerId }: Member): void {
    const removal: Promise<void> = this.#discard(slot, session, containerId).finally(() =>
      this.#removals.delete(removal),
    );
    this.#removals.add(removal);
  }

  /** Never rejects: what could not be removed is in none of the pool's slots any more, and is found as nobody's (strays.ts). */
  async #discard(slot: string, session: AgentSession | undefined, containerId: string | undefined): Promise<void> {
    const steps = [
      ...(session === undefined ? [] : [session.close()]),
      ...(containerId === undefined ? [] : [this.#parts.engine.remove(containerId)]),
    ];
    for (const step of await Promise.allSettled(steps)) {
      if (step.status === 'rejected') {
        this.#parts.log.warn('warm_container_not_removed', { slot, error: asError(step.reason) });
      }
    }
  }

  #delayShelf(shelf: Shelf, failure: string): void {
    const waitMs = Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(shelf.failures, 10));
    shelf.failures += 1;
    shelf.failure = failure;
    shelf.notBeforeMs = performance.now() + waitMs;
  }
}

function shelfKey({ image, network }: { image: string; network: 'on' | 'off' }): string {
  return `${network} ${image}`;
}
