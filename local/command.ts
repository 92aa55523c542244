import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** Where the supervisor's progress goes: one line a call, without a newline. */
export type Progress = (line: string) => void;

export interface CommandOptions {
  /** The command is killed when it takes longer. */
  deadlineMs: number;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Called with each line of stdout and stderr. */
  onLine?: (line: string) => void;
  signal?: AbortSignal;
}

const KEPT_LINES = 20;

/** Runs a program to its end and returns its stdout; throws an Error with its last lines if it fails or takes too long. */
export async function runCommand(file: string, args: readonly string[], options: CommandOptions): Promise<string> {
  const deadline = AbortSignal.timeout(options.deadlineMs);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd,
    env: options.env ?? process.env,
    signal,
  });
  const output: string[] = [];
  const last: string[] = [];
  const readLines = (stream: Readable, isOutput: boolean) => {
    createInterface({ input: stream }).on('line', (line) => {
      if (isOutput) output.push(line);
      if (last.push(line) > KEPT_LINES) last.shift();
      options.onLine?.(line);
    });
  };
  readLines(child.stdout, true);
  readLines(child.stderr, false);
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(deadline.aborted ? `took over ${options.deadlineMs} ms` : error.message));
    child.once('close', (code, signalName) => resolve(code === 0 ? undefined : `ended with ${code ?? signalName}`));
  });
  if (failure === undefined) return output.join('\n');
  options.signal?.throwIfAborted();
  throw new Error([`${file} ${args.join(' ')}: ${failure}`, ...last].join('\n  '));
}
