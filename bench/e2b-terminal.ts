/** A terminal of a sandbox and somebody who types into it: a key, its echo, the next key. */
import type { Sandbox } from 'e2b';
import { Echo } from './echo.ts';

/** Wide enough that no key of a run wraps the line, which the shell would redraw. */
const COLS = 1000;
const ROWS = 24;
const ECHO_DEADLINE_MS = 10_000;
const PROMPT = 'ready>';

export class Terminal {
  readonly #sandbox: Sandbox;
  readonly #pid: number;
  readonly #echo: Echo;

  private constructor(sandbox: Sandbox, pid: number, echo: Echo) {
    this.#sandbox = sandbox;
    this.#pid = pid;
    this.#echo = echo;
  }

  /** A login shell, as the SDK opens one, once it shows its prompt. */
  static async open(sandbox: Sandbox): Promise<Terminal> {
    const echo = new Echo();
    const { pid } = await sandbox.pty.create({
      cols: COLS,
      rows: ROWS,
      timeoutMs: 0,
      onData: (data) => echo.push(data),
    });
    const terminal = new Terminal(sandbox, pid, echo);
    // Written in two parts, so that the shell's answer and not the echo of the line is what is waited for.
    await terminal.#send(`PS1='rea''dy>'\n`, PROMPT);
    return terminal;
  }

  /** Milliseconds from the key to its echo. */
  async type(key: string): Promise<number> {
    const startedAt = performance.now();
    await this.#send(key, key);
    return performance.now() - startedAt;
  }

  /** Resolves when the answer is there, whether or not the request that brought the keys has ended. */
  async #send(keys: string, answer: string): Promise<void> {
    const echoed = this.#echo.waitFor(answer, ECHO_DEADLINE_MS);
    const sent = this.#sandbox.pty.sendInput(this.#pid, new TextEncoder().encode(keys));
    await Promise.race([echoed, sent.then(() => echoed)]);
  }
}
