/** A child process that is kept running: started again with back-off when it dies, until it is stopped. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from './command.ts';

const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 10_000;
/** A child that lived this long starts the back-off from its beginning again. */
const STABLE_AFTER_MS = 30_000;

export interface ChildSpec {
  name: string;
  file: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  logFile: string;
  /** How long it may take to end after SIGTERM before it is killed. */
  stopDeadlineMs: number;
  progress: Progress;
  /** Throws or resolves once the child can be used; called after each start. */
  waitUntilReady?: (signal: AbortSignal) => Promise<void>;
}

export class KeptChild {
  readonly #spec: ChildSpec;
  #process: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #wanted = false;
  #restart: AbortController | undefined;
  #failures = 0;

  constructor(spec: ChildSpec) {
    this.#spec = spec;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  async start(): Promise<void> {
    if (this.#wanted) return;
    this.#wanted = true;
    try {
      await this.#launch();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends the child (SIGTERM, after its deadline SIGKILL) and waits until it is gone. */
  async stop(): Promise<void> {
    this.#wanted = false;
    this.#restart?.abort();
    const child = this.#process;
    if (!child) return;
    child.kill('SIGTERM');
    const killer = setTimeout(() => {
      this.#spec.progress(`${this.#spec.name} did not end in ${this.#spec.stopDeadlineMs / 1000} s and is killed`);
      child.kill('SIGKILL');
    }, this.#spec.stopDeadlineMs);
    await this.#exited;
    clearTimeout(killer);
  }

  /** Sends a signal as it is. SIGKILL returns once the child is gone, and it stays away until start(). */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const exited = this.#exited;
    if (signal === 'SIGKILL') this.#wanted = false;
    this.#process?.kill(signal);
    if (signal === 'SIGKILL') await exited;
  }

  async #launch(): Promise<void> {
    const { name, file, args, env, logFile, waitUntilReady } = this.#spec;
    const log = openSync(logFile, 'a', 0o600);
    // setpriv: the child gets SIGTERM if this process dies without a word. detached: a session of its own, so that
    // Ctrl-C in the terminal reaches this process only, which ends its children in order.
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', file, ...args], {
      detached: true,
      stdio: ['ignore', log, log],
      env,
    });
    closeSync(log);
    const startedAt = performance.now();
    const gone = new AbortController();
    this.#process = child;
    this.#exited = new Promise((resolve) => {
      const onEnd = (how: string) => {
        this.#process = undefined;
        gone.abort(new Error(`${name} ended with ${how} (log: ${logFile})`));
        resolve();
        if (performance.now() - startedAt > STABLE_AFTER_MS) this.#failures = 0;
        if (this.#wanted) void this.#relaunch(how);
      };
      child.once('error', (error) => onEnd(error.message));
      child.once('exit', (code, signal) => onEnd(String(code ?? signal)));
    });
    await waitUntilReady?.(gone.signal);
  }

  async #relaunch(how: string): Promise<void> {
    const waitMs = Math.min(BACKOFF_FIRST_MS * 2 ** this.#failures++, BACKOFF_MAX_MS);
    const { name, logFile, progress } = this.#spec;
    progress(`${name} ended with ${how}; it is started again in ${waitMs} ms (log: ${logFile})`);
    this.#restart = new AbortController();
    try {
      await sleep(waitMs, undefined, { signal: this.#restart.signal });
      if (this.#wanted) await this.#launch();
    } catch (error) {
      // Not ready: a child that ended comes back here by its exit; one that hangs is told of and left to be stopped.
      if (this.#wanted) progress(`${name}: ${(error as Error).message}`);
    }
  }
}
