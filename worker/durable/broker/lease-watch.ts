const CHECK_MS = 3_000;
/** A lease that is still missing this long after its first miss was no hiccup: 15 s of lease + CHECK_MS + this stay under 25 s. */
const MISSING_MS = 3_000;
/** After the delivering side lost its memory every runner needs a moment to be back. */
const EXCUSED_MS = 15_000;

/** Decides when a runner without a lease counts as lost. */
export class LeaseWatch {
  readonly #missingSinceMs = new Map<string, number>();
  #checkedAtMs = 0;
  #excusedUntilMs = 0;

  due(nowMs: number): boolean {
    if (nowMs - this.#checkedAtMs < CHECK_MS) return false;
    this.#checkedAtMs = nowMs;
    return true;
  }

  excuse(nowMs: number): void {
    this.#excusedUntilMs = nowMs + EXCUSED_MS;
    this.#missingSinceMs.clear();
  }

  /** The runners that are lost, given all that were asked for. */
  judge(boots: ReadonlyMap<string, string | null>, nowMs: number): Set<string> {
    const gone = new Set<string>();
    for (const runnerId of this.#missingSinceMs.keys()) if (!boots.has(runnerId)) this.#missingSinceMs.delete(runnerId);
    for (const [runnerId, boot] of boots) {
      const sinceMs = this.#missingSinceMs.get(runnerId);
      if (boot !== null) this.#missingSinceMs.delete(runnerId);
      else if (sinceMs === undefined) this.#missingSinceMs.set(runnerId, nowMs);
      else if (nowMs - sinceMs >= MISSING_MS && nowMs >= this.#excusedUntilMs) gone.add(runnerId);
    }
    return gone;
  }
}
