import type { Broker, ExecResult } from '../core/ports.ts';
import { outputText, type OutputEncoding } from './output-text.ts';
import { timestampOf } from './timestamp.ts';

type ProcessExit = ExecResult['exit'];
type ProcessInfo = Awaited<ReturnType<Broker['processes']>>[number];

/** As timeout(1) has it. */
const deadlineExitCode = 124;

export const exitView = (exit: ProcessExit) => {
  const timedOut = exit.reason === 'deadline';
  return {
    exitCode: timedOut ? deadlineExitCode : exit.exitCode,
    signal: exit.signal,
    reason: exit.reason,
    timedOut,
    durationMs: Math.round(exit.durationMs * 1000) / 1000,
    droppedStdoutBytes: exit.droppedStdoutBytes,
    droppedStderrBytes: exit.droppedStderrBytes,
  };
};

export const execView = (result: ExecResult, encoding: OutputEncoding) => ({
  processId: result.processId,
  stdout: outputText(result.stdout, encoding),
  stderr: outputText(result.stderr, encoding),
  encoding,
  ...exitView(result.exit),
  truncated: result.exit.droppedStdoutBytes + result.exit.droppedStderrBytes > 0,
});

export const processView = (process: ProcessInfo) => ({
  processId: process.processId,
  pid: process.pid,
  command: process.command,
  cwd: process.cwd,
  user: process.user,
  pty: process.pty,
  tag: process.tag ?? null,
  startedAt: timestampOf(process.startedAtMs),
  outputBytes: process.outputBytes,
  running: process.exit === null,
  exit: process.exit === null ? null : exitView(process.exit),
});
