import type { WatchEvent } from '../../../protocol/files.ts';

/** Events until they are told, in their order, within bounds; what does not fit is counted. */
export class EventBuffer {
  #events: WatchEvent[] = [];
  #bytes = 0;
  #dropped = 0;
  readonly #eventsMax: number;
  readonly #bytesMax: number;

  constructor(bounds: { events: number; bytes: number }) {
    this.#eventsMax = bounds.events;
    this.#bytesMax = bounds.bytes;
  }

  /** The same again is told once: a file that is written in pieces says so for each. */
  push(event: WatchEvent): void {
    const last = this.#events.at(-1);
    if (last !== undefined && last.kind === event.kind && last.path === event.path) {
      if (event.entry !== undefined) last.entry = event.entry;
      return;
    }
    const bytes = Buffer.byteLength(JSON.stringify(event));
    if (this.#events.length >= this.#eventsMax || this.#bytes + bytes > this.#bytesMax) return this.dropped();
    this.#bytes += bytes;
    this.#events.push(event);
  }

  dropped(): void {
    this.#dropped += 1;
  }

  take(): { events: WatchEvent[]; droppedEvents: number } {
    const taken = { events: this.#events, droppedEvents: this.#dropped };
    this.#events = [];
    this.#bytes = 0;
    this.#dropped = 0;
    return taken;
  }
}
