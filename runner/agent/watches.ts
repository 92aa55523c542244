import type { AgentEvent, AgentRequest } from '../protocol/agent.ts';
import type { FileWatch } from '../protocol/files.ts';
import { AgentViolation } from './replies.ts';
import type { Resumable } from './resumption.ts';
import type { WatchSink } from './session.ts';

type Body = Omit<Extract<AgentRequest, { op: 'watch' }>, 'id'> | Omit<Extract<AgentRequest, { op: 'unwatch' }>, 'id'>;
type Send = (body: Body) => Promise<null>;

/** Frames of watch events that an agent may send at once, and per second: it gathers them for 20 ms. */
const eventBurst = 256;
const eventsPerSecond = 100;

interface HostWatch {
  request: FileWatch;
  sink: WatchSink;
  /** Also of one that the agent may have or not. */
  close: () => void;
  tokens: number;
  filledAt: number;
}

/** The session's watches. They outlive a control connection. */
export class HostWatches {
  #nextId = 1;
  readonly #watches = new Map<number, HostWatch>();

  async open(request: FileWatch, sink: WatchSink, send: Send): Promise<{ close(): void }> {
    const watchId = this.#nextId;
    this.#nextId += 1;
    const close = (): void => {
      if (!this.#watches.delete(watchId)) return;
      // When the agent is away, its watches are gone with the connection.
      send({ op: 'unwatch', watchId }).catch(() => undefined);
    };
    this.#watches.set(watchId, { request, sink, close, tokens: eventBurst, filledAt: performance.now() });
    try {
      await send({ op: 'watch', watch: request, watchId });
    } catch (error) {
      // It may be open all the same: its answer came too late, or the next connection has asked for it again.
      close();
      throw error;
    }
    return { close };
  }

  /** On a new connection. What happened meanwhile is unknown: one dropped event says so. */
  resumable(
    send: (body: Body, timeoutMs: number) => Promise<null>,
    failed: (path: string, error: unknown) => void,
  ): Resumable[] {
    return [...this.#watches].map(([watchId, { request, sink, close }]) => ({
      again: async (timeoutMs) => {
        if (!this.#watches.has(watchId)) return;
        sink.events([], 1);
        await send({ op: 'watch', watch: request, watchId }, timeoutMs);
      },
      lost: (error) => {
        if (!this.#watches.has(watchId)) return;
        close();
        failed(request.path, error);
        sink.lost(error);
      },
    }));
  }

  event(event: Extract<AgentEvent, { event: 'watch' }>): void {
    if (event.watchId >= this.#nextId) throw new AgentViolation('events of a watch that never was');
    const watch = this.#watches.get(event.watchId);
    if (watch === undefined) return;
    const now = performance.now();
    watch.tokens = Math.min(eventBurst, watch.tokens + ((now - watch.filledAt) / 1000) * eventsPerSecond);
    watch.filledAt = now;
    if (watch.tokens < 1) throw new AgentViolation('too many events');
    watch.tokens -= 1;
    watch.sink.events(event.events, event.droppedEvents);
  }

  clear(): void {
    this.#watches.clear();
  }
}
