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
/** After the agent is lost, how long to wait for the engine to say why. */
const LOST_REASON_MS = 3_000;

const WATCH_ONLY: Attachment = { fromOffset: 0, creditBytes: 0, foreground: false, output: false };

export interface ProcessSurroundings {
  session: AgentSession;
  /** Whether the kernel has just killed something in this container for memory. Never rejects. */
  oomKilled(): Promise<boolean>;
  /** Undefined while the sandbox lives. */
  endReason(): EndReason | undefined;
  onExit(exit: ProcessExit): void;
  /** The runner stops while it runs. */
  onLeave(): void;
  onForeground(change: 1 | -1): void;
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

  reader(conversation: Conversation, attach: Attachment): ProcessReader {
    const reader = new ProcessReader(conversation, attach, this);
    this.#readers.add(reader);
    if (reader.foreground) this.#around.onForeground(1);
    return reader;
  }

  started(pid: number): void {
    this.#pid = pid;
  }

  /** Of one that an earlier life of the runner started: from here on its exit is heard. */
  rejoin(): void {
    const { attach, sink } = this.watcher();
    this.#around.session.attach(this.processId, attach, sink).catch((error: unknown) => {
      // While the agent is away nothing is known, and the deadline's timer stays.
      if (error instanceof RunnerError && error.code === 'process_not_found') this.#forget();
    });
  }

  /** The runner stops; the process runs on, and is the next life's. */
  leaveRunning(): void {
    if (this.#over) return;
    this.#over = true;
    this.#around.onLeave();
    clearTimeout(this.#deadlineTimer);
    clearTimeout(this.#lostTimer);
  }

  /** Somebody has to hear of the exit, for the history and the deadline, when no channel does. */
  watcher(): { attach: Attachment; sink: ProcessSink } {
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
    if (reader) this.#served.add(reader);
    if (this.#over) {
      if (reader && this.#ended) this.#end(reader, this.#ended);
      return;
    }
    if (this.#told) return;
    this.#told = true;
    const exit = told.reason === 'oom' ? withoutReason(told) : told;
    const finish = (ended: ProcessExit): void => this.#finish(ended, outputBytes, this.#served);
    // Who sent a SIGKILL, and whether memory ran out, only the host can say: the sandbox's word is not taken for it.
    if (exit.reason !== 'signalled' || exit.signal !== 'SIGKILL') return finish(exit);
    void this.#around.oomKilled().then((oom) => finish(oom ? { ...exit, reason: 'oom' } : exit));
  }

  lost(): void {
    if (this.#over || this.#lostTimer) return;
    this.#lostTimer = setTimeout(() => {
      this.fail(new RunnerError('agent_unavailable', 'The sandbox stopped answering; the command may have run.'));
    }, LOST_REASON_MS);
  }

  left(reader: ProcessReader): void {
    if (!this.#remove(reader)) return;
    if (this.#over || this.#readers.size > 0 || this.#pid === undefined) return;
    const watcher = this.watcher();
    // process_not_found: it has exited and been forgotten meanwhile; its exit was heard, or the deadline's timer ends the entry.
    this.#around.session.attach(this.processId, watcher.attach, watcher.sink).catch(() => this.#forget());
  }

  /** The sandbox is gone. */
  sandboxEnded(reason: 'oom' | 'sandbox_ended'): void {
    this.#finish(this.#ending(reason), this.#outputEnd());
  }

  /** It was ended with all the others, by a pause that keeps the files only. */
  stopped(): void {
    this.#finish(this.#ending('killed'), this.#outputEnd());
  }

  fail(error: RunnerError): void {
    if (this.#over) return;
    const readers = this.#removeAll();
    this.#close(this.#ending('sandbox_ended'));
    for (const reader of readers) reader.conversation.fail({ code: error.code, message: error.message });
  }

  /** It never came to be; its caller is told by whoever knows why. */
  abandon(): void {
    if (this.#over) return;
    this.#removeAll();
    this.#close(this.#ending('killed'));
  }

  #passDeadline(): void {
    if (this.#over) return;
    this.#finish(this.#ending('deadline'), this.#outputEnd());
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

  #forget(): void {
    if (this.#over) return;
    this.#removeAll();
    this.#close(this.#ending('exited'));
  }

  #close(exit: ProcessExit): void {
    this.#over = true;
    clearTimeout(this.#deadlineTimer);
    clearTimeout(this.#lostTimer);
    this.#around.onExit(exit);
  }

  #removeAll(): ProcessReader[] {
    return [...this.#readers].filter((reader) => this.#remove(reader));
  }

  /** Whether it was there. */
  #remove(reader: ProcessReader): boolean {
    const found = this.#readers.delete(reader);
    if (found && reader.foreground) this.#around.onForeground(-1);
    return found;
  }
}

const withoutReason = (exit: ProcessExit): ProcessExit => ({
  ...exit,
  reason: exit.signal === null ? 'exited' : 'signalled',
});
