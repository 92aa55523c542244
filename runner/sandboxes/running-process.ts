import type { AgentSession, ProcessSink } from '../agent/session.ts';
import type { Conversation } from '../channels/conversations.ts';
import { monotonicMs } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { EndReason } from '../protocol/node-report.ts';
import { limits } from '../protocol/limits.ts';
import type { Attachment, ProcessExit } from '../protocol/process.ts';
import { ProcessReader, type ReaderOwner } from './process-reader.ts';

/** An agent that can't say that it has started or attached a process within this is treated as gone. */
export const AGENT_ANSWER_MS = 10_000;
/** An agent forgets an ended process after endedProcessTtlMs, and has told all its readers of the end by then. */
const REST_MS = limits.endedProcessTtlMs + AGENT_ANSWER_MS;
/** While the agent can't be asked to tell the exit, it is asked again so often. */
const WATCH_RETRY_MS = 5_000;
/** After the agent is lost, how long to wait for the engine to say why. */
const LOST_REASON_MS = 3_000;

const WATCH_ONLY: Attachment = { fromOffset: 0, creditBytes: 0, foreground: false, output: false };

export interface ProcessSurroundings {
  session: AgentSession;
  /** Whether the kernel has just killed something in this container for memory. Never rejects. */
  oomKilled(): Promise<boolean>;
  /** While the sandbox stands still, or is about to, its agent answers nobody. */
  atRest(): boolean;
  /** Undefined while the sandbox lives. */
  endReason(): EndReason | undefined;
  onExit(exit: ProcessExit): void;
  /** The runner stops while it runs. */
  onLeave(): void;
  onForeground(change: 1 | -1): void;
  /** It is over, and there are readers that are still to be told; or there are none any more. */
  onUntold(running: RunningProcess, untold: boolean): void;
}

interface Ended {
  exit: ProcessExit;
  outputBytes: number;
}

/**
 * One live process in the runner's own table: who reads it, and when its call ends whatever the agent says. It holds no
 * delivery slot. It is over once, by the first of: the agent's exit, the deadline plus grace, the loss of the agent, the sandbox's end.
 * After the agent's exit a reader that is behind gets the rest of the output before it is told.
 */
export class RunningProcess implements ReaderOwner {
  readonly processId: string;
  readonly tag: string | undefined;
  readonly #around: ProcessSurroundings;
  readonly #startedAtMs = monotonicMs();
  readonly #readers = new Set<ProcessReader>();
  /** Those that have had all of its output. */
  readonly #served = new Set<ProcessReader>();
  /** Whether the agent has said how it ended; `#ended` is what becomes of that. */
  #told = false;
  #ended: Ended | undefined;
  #pid: number | undefined;
  /** Whether the agent tells us of its exit by a reader of our own, or is being asked to. */
  #watched = false;
  #watchTimer: NodeJS.Timeout | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #lostTimer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(
    { processId, tag, timeoutMs }: { processId: string; tag?: string | undefined; timeoutMs?: number | undefined },
    around: ProcessSurroundings,
  ) {
    this.processId = processId;
    this.tag = tag;
    this.#around = around;
    if (timeoutMs === undefined) return;
    this.#deadlineTimer = setTimeout(() => this.#passDeadline(), timeoutMs + limits.deadlineGraceMs);
  }

  get pid(): number | undefined {
    return this.#pid;
  }

  get over(): boolean {
    return this.#over;
  }

  get atRest(): boolean {
    return this.#around.atRest() && this.#around.endReason() === undefined;
  }

  reader(conversation: Conversation, attach: Attachment): ProcessReader {
    const reader = new ProcessReader(conversation, attach, this);
    this.#readers.add(reader);
    if (reader.foreground) this.#around.onForeground(1);
    return reader;
  }

  started(pid: number): void {
    this.#pid = pid;
    if (this.#readers.size === 0) this.#watch(); // its reader has gone while it was started
  }

  /** Of one that an earlier life of the runner started: from here on its exit is heard. */
  rejoin(): void {
    this.#watch();
  }

  /** The runner stops; the process runs on, and is the next life's. */
  leaveRunning(): void {
    if (this.#over) return;
    this.#over = true;
    this.#around.onLeave();
    this.#clearTimers();
  }

  /** Somebody has to hear of the exit, for the history and the deadline, when no channel does. */
  watcher(): { attach: Attachment; sink: ProcessSink } {
    this.#watched = true;
    const ignore = () => undefined;
    const sink: ProcessSink = {
      data: ignore,
      lagged: ignore,
      exit: (exit, outputBytes) => this.exited(exit, outputBytes),
      lost: () => this.lost(),
    };
    return { attach: WATCH_ONLY, sink };
  }

  /** Said to each reader after its own output, and to a watcher; the first word is the one that counts. */
  exited(told: ProcessExit, outputBytes: number, reader?: ProcessReader): void {
    const exit = told.reason === 'oom' ? withoutReason(told) : told;
    if (reader) this.#served.add(reader);
    if (this.#over) {
      if (reader) this.#end(reader, { exit: this.#ended?.exit ?? exit, outputBytes });
      return;
    }
    if (this.#told) return;
    this.#told = true;
    const finish = (ended: ProcessExit): void => this.#finish(ended, outputBytes, this.#served);
    // Who sent a SIGKILL, and whether memory ran out, only the host can say: the sandbox's word is not taken for it.
    if (exit.reason !== 'signalled' || exit.signal !== 'SIGKILL') return finish(exit);
    void this.#around.oomKilled().then((oom) => finish(oom ? { ...exit, reason: 'oom' } : exit));
  }

  lost(reader?: ProcessReader): void {
    if (this.#over) {
      if (reader && this.#remove(reader)) reader.conversation.fail(agentLost());
      return;
    }
    this.#lostTimer ??= setTimeout(() => this.fail(agentLost()), LOST_REASON_MS);
  }

  left(reader: ProcessReader): void {
    if (!this.#remove(reader)) return;
    if (this.#readers.size === 0 && this.#pid !== undefined) this.#watch();
  }

  /** The sandbox is gone. */
  sandboxEnded(reason: 'oom' | 'sandbox_ended'): void {
    this.#finish(this.#ending(reason), this.#outputEnd());
  }

  /** It was ended with all the others, by a pause that keeps the files only; or before, and then nothing more comes to whoever is behind. */
  stopped(): void {
    this.#finish(this.#ending('killed'), this.#outputEnd());
    for (const reader of this.#readers) reader.lost();
  }

  fail(error: RunnerError): void {
    if (this.#over) return;
    const readers = this.#removeAll();
    this.#close(this.#ending('sandbox_ended'));
    for (const reader of readers) reader.conversation.fail({ code: error.code, message: error.message });
  }

  /** It never came to be. Who asked for it is told by whoever knows why; the others who have found it already are told here. */
  abandon(starter: ProcessReader | undefined, error: RunnerError): void {
    if (this.#over) return;
    const others = this.#removeAll().filter((reader) => reader !== starter);
    this.#close(this.#ending('killed'));
    for (const reader of others) reader.conversation.fail({ code: error.code, message: error.message });
  }

  #passDeadline(): void {
    if (this.#over) return;
    // Who has taken nothing for a while is owed what was printed until then.
    const served = new Set([...this.#readers].filter((reader) => !reader.starved));
    this.#finish(this.#ending('deadline'), this.#outputEnd(), served);
    this.#around.session.signal(this.processId, 'SIGKILL').catch(() => undefined); // it may well be gone: the call has ended
  }

  #ending(reason: ProcessExit['reason']): ProcessExit {
    const durationMs = monotonicMs() - this.#startedAtMs;
    return { exitCode: null, signal: 'SIGKILL', reason, durationMs, droppedStdoutBytes: 0, droppedStderrBytes: 0 };
  }

  #outputEnd(): number {
    return Math.max(0, ...[...this.#readers].map((reader) => reader.outputEnd));
  }

  /** `served`: who is told at once; the others have output to come first. */
  #finish(told: ProcessExit, outputBytes: number, served: ReadonlySet<ProcessReader> = this.#readers): void {
    if (this.#over) return;
    const mayHaveEndedIt = told.reason === 'sandbox_ended' || told.reason === 'oom';
    const sandboxEndReason = mayHaveEndedIt ? this.#around.endReason() : undefined;
    const exit = sandboxEndReason === undefined ? told : { ...told, sandboxEndReason };
    this.#ended = { exit, outputBytes };
    this.#close(exit);
    for (const reader of this.#readers) {
      if (served.has(reader)) this.#end(reader, this.#ended);
      else reader.awaitRest(exit, outputBytes, REST_MS);
    }
  }

  #end(reader: ProcessReader, { exit, outputBytes }: Ended): void {
    if (this.#remove(reader)) reader.end(exit, outputBytes);
  }

  /** Asks the agent to tell its exit, until it can be asked. One such reader is enough. */
  #watch(): void {
    if (this.#watched || this.#over) return;
    const retry = (): void => {
      this.#watched = false;
      this.#watchTimer = setTimeout(() => this.#watch(), WATCH_RETRY_MS);
    };
    const { attach, sink } = this.watcher();
    if (this.#around.atRest()) return retry();
    this.#around.session.attach(this.processId, attach, sink).catch((error: unknown) => {
      if (this.#over) return;
      if (error instanceof RunnerError && error.code === 'process_not_found') this.#forget();
      else retry();
    });
  }

  /** It has ended longer ago than the agent remembers. Readers that the agent took in before that hear of the end from it. */
  #forget(): void {
    if (!this.#over) this.#close({ ...this.#ending('exited'), signal: null });
  }

  #close(exit: ProcessExit): void {
    this.#over = true;
    this.#clearTimers();
    this.#around.onExit(exit);
    if (this.#readers.size > 0) this.#around.onUntold(this, true);
  }

  #clearTimers(): void {
    clearTimeout(this.#deadlineTimer);
    clearTimeout(this.#lostTimer);
    clearTimeout(this.#watchTimer);
  }

  #removeAll(): ProcessReader[] {
    return [...this.#readers].filter((reader) => this.#remove(reader));
  }

  /** Whether it was there. */
  #remove(reader: ProcessReader): boolean {
    const found = this.#readers.delete(reader);
    if (!found) return false;
    reader.forgetRest();
    if (reader.foreground) this.#around.onForeground(-1);
    if (this.#over && this.#readers.size === 0) this.#around.onUntold(this, false);
    return true;
  }
}

const agentLost = (): RunnerError =>
  new RunnerError('agent_unavailable', 'The sandbox stopped answering; the command may have run.');

const withoutReason = (exit: ProcessExit): ProcessExit => ({
  ...exit,
  reason: exit.signal === null ? 'exited' : 'signalled',
});
