import type { WatchEvent } from '../../../protocol/files.ts';

export interface EventBounds {
  events: number;
  /** Of JSON. */
  bytes: number;
}

interface Held {
  event: WatchEvent;
  bytes: number;
}

/** Events until they are told, in their order, within bounds; what does not fit is counted. */
export class EventBuffer {
  #held: Held[] = [];
  #bytes = 0;
  #dropped = 0;
  readonly #bounds: EventBounds;

  constructor(bounds: EventBounds) {
    this.#bounds = bounds;
  }

  get empty(): boolean {
    return this.#held.length === 0 && this.#dropped === 0;
  }

  /** The same again is told once: a file that is written in pieces says so for each. */
  push(event: WatchEvent): void {
    const last = this.#held.at(-1);
    if (last !== undefined && last.event.kind === event.kind && last.event.path === event.path) {
      this.#held.pop();
      this.#bytes -= last.bytes;
    }
    const bytes = Buffer.byteLength(JSON.stringify(event));
    if (this.#held.length >= this.#bounds.events || this.#bytes + bytes > this.#bounds.bytes) return this.dropped();
    this.#bytes += bytes;
    this.#held.push({ event, bytes });
  }

  dropped(): void {
    this.#dropped += 1;
  }

  /** The first of them, within `bounds` but one at least; what was dropped came after the last. */
  take(bounds: EventBounds = this.#bounds): { events: WatchEvent[]; droppedEvents: number } {
    let count = 0;
    let bytes = 0;
    for (const held of this.#held) {
      if (count > 0 && (count >= bounds.events || bytes + held.bytes > bounds.bytes)) break;
      count += 1;
      bytes += held.bytes;
    }
    const events = this.#held.slice(0, count).map(({ event }) => event);
    this.#held = this.#held.slice(count);
    this.#bytes -= bytes;
    const droppedEvents = this.#held.length === 0 ? this.#dropped : 0;
    this.#dropped -= droppedEvents;
    return { events, droppedEvents };
  }
}
