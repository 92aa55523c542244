import { delay, monotonicMs } from './clock.ts';
import type { Container, ContainerEngine, ContainerEvent } from './engine/port.ts';
import type { Logger } from './log.ts';
import { limits } from './protocol/limits.ts';
import type { EndReason } from './protocol/node-report.ts';
import { isAtRest, isLive, sawOom, type Sandbox } from './sandboxes/sandbox.ts';
import type { Containers } from './sandboxes/containers.ts';
import type { Lanes } from './sandboxes/lanes.ts';
import type { SandboxTable } from './sandboxes/table.ts';
import { Strays } from './strays.ts';

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5_000;
const SILENCE_CHECK_MS = 5_000;
/** A running sandbox whose agent has had no connection for this long is of no use to anybody. */
const SILENT_AGENT_MS = 30_000;
/** An event stream can lose an event with its connection: what is there is compared now and then. */
const COMPARE_MS = 60_000;

interface WatchParts {
  engine: ContainerEngine;
  /** Hears of containers that are nobody's yet. */
  pool: { containerEnded(containerId: string): void; readonly slots: ReadonlySet<string> };
  containers: Pick<Containers, 'slots'>;
  lanes: Lanes;
  sandboxes: SandboxTable;
  log: Logger;
}

/** Ends the sandboxes whose containers die, whatever they die of, and whose agents fall silent. */
export class EngineWatch {
  readonly #parts: WatchParts;
  readonly #stop = new AbortController();
  readonly #strays: Strays;
  #timers: NodeJS.Timeout[] = [];
  #watching: Promise<void> | undefined;

  constructor(parts: WatchParts) {
    this.#parts = parts;
    const { engine, log } = parts;
    this.#strays = new Strays({
      engine,
      isOwned: (container) => this.#isOwned(container),
      signal: this.#stop.signal,
      log,
    });
  }

  start(): void {
    this.#watching = this.#watch();
    this.#timers = [
      setInterval(() => this.#findSilent(), SILENCE_CHECK_MS),
      setInterval(() => void this.#compare().catch((error: unknown) => this.#report(error)), COMPARE_MS),
    ];
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('the runner stops'));
    for (const timer of this.#timers) clearInterval(timer);
    await this.#watching;
  }

  async #watch(): Promise<void> {
    let waitMs = RETRY_FIRST_MS;
    while (!this.#stop.signal.aborted) {
      const round = new AbortController();
      try {
        // Listened to first: what happens during the comparison is told after it.
        const events = await this.#parts.engine.events(AbortSignal.any([this.#stop.signal, round.signal]));
        await this.#compare();
        waitMs = RETRY_FIRST_MS;
        for await (const event of events) this.#take(event);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#report(error);
      } finally {
        round.abort();
      }
      await delay(waitMs, this.#stop.signal).catch(() => undefined); // the loop's condition sees the stop
      waitMs = Math.min(waitMs * 2, RETRY_MAX_MS);
    }
  }

  #take(event: ContainerEvent): void {
    const sandbox = this.#parts.sandboxes.findByContainer(event.containerId);
    if (!sandbox) {
      if (event.kind === 'exited') this.#parts.pool.containerEnded(event.containerId);
      return;
    }
    if (event.kind === 'oom') sandbox.oomAtMs = monotonicMs();
    else if (event.kind === 'exited') void this.#endDead(sandbox, event.containerId);
    else if (event.kind === 'disk_limit') this.#end(sandbox, 'evicted');
    else event satisfies never;
  }

  async #endDead(sandbox: Sandbox, containerId: string): Promise<void> {
    if (isAtRest(sandbox.rest)) return; // as it should be
    const exit = await this.#parts.engine.findExit(containerId).catch((error: unknown) => this.#report(error));
    if (exit === undefined && (await this.#isAlive(containerId))) return; // a stop that was over before this came
    this.#end(sandbox, sawOom(sandbox) || exit?.oomKilled === true ? 'oom' : 'failed');
  }

  async #isAlive(containerId: string): Promise<boolean> {
    const containers: Container[] = await this.#parts.engine.list().catch(() => []); // the engine is away: looked at again later
    return containers.some(({ id, state }) => id === containerId && state !== 'exited');
  }

  async #compare(): Promise<void> {
    const held = this.#parts.sandboxes.all().flatMap((sandbox) => {
      const { home, rest } = sandbox;
      return home === undefined ? [] : [{ sandbox, home, rest }];
    });
    const containers: Container[] = await this.#parts.engine.list();
    const states = new Map(containers.map(({ id, state }) => [id, state]));
    for (const { sandbox, home, rest } of held) {
      const state = states.get(home.containerId);
      // One that was stopped meanwhile, or was then and is not now, is looked at again the next time.
      const stopped = isAtRest(rest) || isAtRest(sandbox.rest);
      if (state === undefined || (state === 'exited' && !stopped)) this.#end(sandbox, 'failed');
      else if (state === 'paused') this.#thaw(sandbox);
    }
    this.#strays.look(containers);
  }

  /** A snapshot could not let it go on, as the engine was away. In its turn among the sandbox's jobs, so that no pause is undone. */
  #thaw(sandbox: Sandbox): void {
    const { lanes, engine, log } = this.#parts;
    // A job that is under way knows why it stands still, and lets it go on itself.
    if (!isLive(sandbox) || lanes.isBusy(sandbox.id)) return;
    const turn = { key: 'thaw', kill: false, limitMs: limits.lifecycleJobMs };
    const thawed = lanes.run(sandbox.id, turn, async () => {
      await engine.unpause(sandbox.home.containerId);
      log.warn('sandbox_thawed', { sandboxId: sandbox.id, epoch: sandbox.epoch });
    });
    thawed.catch((error: unknown) => this.#report(error));
  }

  #isOwned({ id, slot }: Container): boolean {
    const { sandboxes, pool, containers } = this.#parts;
    return sandboxes.findByContainer(id) !== undefined || pool.slots.has(slot) || containers.slots.has(slot);
  }

  #findSilent(): void {
    const nowMs = monotonicMs();
    for (const sandbox of this.#parts.sandboxes.all()) {
      // A change of it may cut its agent off, or make it stand still.
      if (sandbox.state !== 'running' || sandbox.changing || !sandbox.home || sandbox.home.session.connected) {
        sandbox.silentSinceMs = undefined;
        continue;
      }
      sandbox.silentSinceMs ??= nowMs;
      if (nowMs - sandbox.silentSinceMs > SILENT_AGENT_MS) this.#end(sandbox, 'failed');
    }
  }

  #end(sandbox: Sandbox, reason: EndReason): void {
    if (sandbox.state === 'ending' || sandbox.state === 'ended') return; // it dies because we end it
    this.#parts.log.warn('sandbox_died', { sandboxId: sandbox.id, epoch: sandbox.epoch, reason });
    this.#parts.sandboxes.end(sandbox, reason).catch((error: unknown) => this.#report(error));
  }

  #report(error: unknown): void {
    this.#parts.log.warn('engine_trouble', { error: error instanceof Error ? error : new Error(String(error)) });
  }
}
