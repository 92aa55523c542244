import { watchEventCredit, type WatchEvent } from '../protocol/files.ts';

/** With less than this left nothing can be told. */
const creditMinBytes = 32;
/** What waits for credit, beside that: a burst (an unpacked archive) comes faster than its reader grants. */
const heldBytesMax = 128 * 1024;
/** One entry of the stream carries at most so many. */
const eventsPerEntry = 256;

/** A watch's events on their way to a reader who pays by credit: some wait for it, what is beyond is dropped and counted. */
export class WatchBacklog {
  #held: WatchEvent[] = [];
  #heldBytes = 0;
  #dropped = 0;
  #creditBytes: number;
  readonly #tell: (events: WatchEvent[], droppedEvents: number) => void;

  constructor(creditBytes: number, tell: (events: WatchEvent[], droppedEvents: number) => void) {
    this.#creditBytes = creditBytes;
    this.#tell = tell;
  }

  push(events: readonly WatchEvent[], droppedEvents: number): void {
    this.#dropped += droppedEvents;
    for (const event of events) {
      const costBytes = watchEventCredit(event);
      if (this.#heldBytes + costBytes > Math.max(0, this.#creditBytes) + heldBytesMax) {
        this.#dropped += 1;
        continue;
      }
      this.#held.push(event);
      this.#heldBytes += costBytes;
    }
    this.#flush();
  }

  grant(bytes: number): void {
    this.#creditBytes += bytes;
    this.#flush();
  }

  #flush(): void {
    const affordable = this.#take();
    for (let start = 0; start < affordable.length; start += eventsPerEntry) {
      const part = affordable.slice(start, start + eventsPerEntry);
      this.#tell(part, start + eventsPerEntry >= affordable.length ? this.#takeDropped() : 0);
    }
    if (this.#creditBytes < creditMinBytes) return; // told with the next that fits
    const droppedEvents = this.#takeDropped();
    if (droppedEvents > 0) this.#tell([], droppedEvents);
  }

  /** Those that there is credit for, from the first on. */
  #take(): WatchEvent[] {
    let count = 0;
    for (const event of this.#held) {
      const costBytes = watchEventCredit(event);
      if (costBytes > this.#creditBytes) break;
      this.#creditBytes -= costBytes;
      this.#heldBytes -= costBytes;
      count += 1;
    }
    const affordable = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    return affordable;
  }

  /** They came after all that is held. */
  #takeDropped(): number {
    if (this.#held.length > 0) return 0;
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}
