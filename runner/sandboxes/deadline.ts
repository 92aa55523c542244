/** A sandbox's deadline, as pure rules over the monotonic clock (clock.ts). All times are milliseconds. */
export interface Deadline {
  readonly mode: 'fixed' | 'idle';
  readonly ttlMs: number;
  readonly pausedTtlMs: number;
  readonly paused: boolean;
  /** When the sandbox ends: by its time to live while running, by pausedTtlMs while paused. */
  readonly expiresAtMs: number;
}

export function beginDeadline(
  terms: { deadlineMode: 'fixed' | 'idle'; ttlMs: number; pausedTtlMs: number },
  nowMs: number,
): Deadline {
  const { deadlineMode: mode, ttlMs, pausedTtlMs } = terms;
  return { mode, ttlMs, pausedTtlMs, paused: false, expiresAtMs: nowMs + ttlMs };
}

/** Activity keeps an idle-mode sandbox alive; it never shortens, and means nothing to the other mode or while paused. */
export function touchDeadline(deadline: Deadline, nowMs: number): Deadline {
  if (deadline.mode === 'fixed' || deadline.paused) return deadline;
  return { ...deadline, expiresAtMs: Math.max(deadline.expiresAtMs, nowMs + deadline.ttlMs) };
}

/** The running clock stops; a paused sandbox has a time to live of its own. */
export function pauseDeadline(deadline: Deadline, nowMs: number): Deadline {
  if (deadline.paused) return deadline;
  return { ...deadline, paused: true, expiresAtMs: nowMs + deadline.pausedTtlMs };
}

export function resumeDeadline(deadline: Deadline, ttlMs: number, nowMs: number): Deadline {
  return { ...deadline, paused: false, ttlMs, expiresAtMs: nowMs + ttlMs };
}

/** ttlMs from now; with onlyExtend never earlier than it was. A paused sandbox keeps its pause's end and gets the new ttl on resume. */
export function changeDeadline(
  deadline: Deadline,
  change: { ttlMs: number; onlyExtend: boolean },
  nowMs: number,
): Deadline {
  const ttlMs = change.onlyExtend ? Math.max(deadline.ttlMs, change.ttlMs) : change.ttlMs;
  if (deadline.paused) return { ...deadline, ttlMs };
  const asked = nowMs + change.ttlMs;
  return { ...deadline, ttlMs, expiresAtMs: change.onlyExtend ? Math.max(deadline.expiresAtMs, asked) : asked };
}
