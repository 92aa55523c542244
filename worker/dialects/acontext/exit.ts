import { outputText } from '../../api/output-text.ts';
import type { ExecResult } from '../../core/ports.ts';

/** As timeout(1) has it. */
const deadlineExitCode = 124;

/** Linux's, on the architectures that runners have. Real-time signals have no names. */
const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};

/** Acontext knows a number only: 124 at the deadline, 128 + n after signal n, as a shell has it; 255 where nobody knows. */
export const exitCodeOf = (exit: { exitCode: number | null; signal: string | null; reason: string }): number => {
  if (exit.reason === 'deadline') return deadlineExitCode;
  if (exit.exitCode !== null) return exit.exitCode;
  const signal = exit.signal === null ? undefined : signalNumbers[exit.signal];
  return signal === undefined ? 255 : 128 + signal;
};

type Reason = ExecResult['exit']['reason'];

/** For a sandbox that ended while a command ran. */
const sandboxEndings: Partial<Record<NonNullable<ExecResult['exit']['sandboxEndReason']>, string>> = {
  killed: ': it was killed',
  timeout: ': its time was up',
  evicted: ': its runner evicted it, which is what happens to one whose files outgrow its disk',
};

/** What the exit code alone does not tell. */
const endings: Partial<Record<Reason, (timeoutSeconds: number) => string>> = {
  deadline: (timeoutSeconds) => `the command was ended after ${timeoutSeconds} seconds`,
  oom: () => 'the sandbox ran out of memory and the command was ended',
};

const sandboxEnded = (why: ExecResult['exit']['sandboxEndReason']): string =>
  `the sandbox ended before the command did${(why && sandboxEndings[why]) ?? ''}`;

/** Acontext has no field for what happened to a command besides its exit code, so that is added to stderr, a line each. */
export const viewExec = ({ stdout, stderr, exit }: ExecResult, timeoutSeconds: number) => {
  const notes = [
    exit.droppedStdoutBytes > 0 ? `${exit.droppedStdoutBytes} more bytes of stdout are left out` : undefined,
    exit.droppedStderrBytes > 0 ? `${exit.droppedStderrBytes} more bytes of stderr are left out` : undefined,
    endings[exit.reason]?.(timeoutSeconds),
    exit.reason === 'sandbox_ended' ? sandboxEnded(exit.sandboxEndReason) : undefined,
  ].filter((note) => note !== undefined);
  const printed = outputText(stderr, 'utf8');
  const gap = notes.length > 0 && printed !== '' && !printed.endsWith('\n') ? '\n' : '';
  return {
    stdout: outputText(stdout, 'utf8'),
    stderr: `${printed}${gap}${notes.map((note) => `[glovebox] ${note}\n`).join('')}`,
    exit_code: exitCodeOf(exit),
  };
};
