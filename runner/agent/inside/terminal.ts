import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import type { Child, ChildEvents, Launch } from './launch.ts';
import { preferForOom, scriptFile, spawnAs, spawnOptions } from './launch.ts';
import { AgentFault, errnoOf } from './fault.ts';
import type { Identity } from './identity.ts';
import { terminalFlow } from './libc.ts';
import { InputQueue } from './input-queue.ts';
import type { StdinTarget } from './stdin.ts';

const endOfInput = Uint8Array.of(4);
/** Bun reads a terminal for as long as it has output, which would keep everything else waiting. */
const burstBytes = 64 * 1024;
const breathMs = 2;
/**
 * So long the answer to an input waits for the output that it causes. Both then go to the edge together: a key that is echoed costs one
 * message on each hop and not two.
 */
const echoMs = 2;

interface TerminalSize {
  cols: number;
  rows: number;
}

export function startTerminal(launch: Launch, size: TerminalSize, events: ChildEvents): Child {
  const script = launch.program.script === undefined ? undefined : scriptFile(launch.program.script);
  try {
    return new TerminalChild(launch, size, script, events);
  } finally {
    if (script !== undefined) closeSync(script);
  }
}

/** A child on a pseudo-terminal of its own, which is owned by its user (it is opened with that identity). */
class TerminalChild implements Child {
  readonly pid: number;
  readonly stdin: StdinTarget;
  #slave: number | undefined;
  #burst = 0;
  #breath: Timer | undefined;
  #typed: (() => void)[] = [];
  #echo: Timer | undefined;
  readonly #terminal: Bun.Terminal;
  readonly #input = new InputQueue((bytes) => void this.#terminal.write(bytes));
  readonly #identity: Identity;

  constructor(launch: Launch, size: TerminalSize, script: number | undefined, events: ChildEvents) {
    this.#identity = launch.identity;
    const child = spawnAs(launch.identity, () =>
      Bun.spawn([launch.program.path, ...launch.program.argv.slice(1)], {
        ...spawnOptions(launch, events),
        ...(script === undefined ? {} : { stdio: [null, null, null, script] as [null, null, null, number] }),
        terminal: {
          ...size,
          data: (_, bytes) => {
            const goOn = events.output(0, bytes);
            this.#answer();
            this.#burst += bytes.length;
            if (!goOn) this.#hold();
            else if (this.#burst >= burstBytes) this.#breathe();
          },
          drain: () => this.#input.delivered(),
          exit: () => {
            this.#input.abandon();
            events.outputEnded();
          },
        },
      }),
    );
    if (child.terminal === undefined) throw new Error('no terminal was made');
    this.pid = child.pid;
    this.#terminal = child.terminal;
    preferForOom(this.pid);
    this.stdin = { write: (bytes) => this.#write(bytes), close: () => this.#input.write(endOfInput) };
  }

  resume(): void {
    clearTimeout(this.#breath);
    this.#burst = 0;
    if (this.#slave === undefined) return;
    terminalFlow(this.#slave, false);
    closeSync(this.#slave);
    this.#slave = undefined;
  }

  resize(cols: number, rows: number): void {
    this.#terminal.resize(cols, rows);
  }

  release(): void {
    this.resume();
    this.#input.abandon();
    this.#terminal.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#terminal.closed) throw new AgentFault('stdin_closed', 'The terminal of the process is closed.');
    await this.#input.write(bytes);
    this.#echo ??= setTimeout(() => this.#answer(), echoMs);
    await new Promise<void>((resolve) => this.#typed.push(resolve));
  }

  /** All that was typed since. */
  #answer(): void {
    clearTimeout(this.#echo);
    this.#echo = undefined;
    for (const taken of this.#typed.splice(0)) taken();
  }

  #breathe(): void {
    this.#hold();
    this.#breath = setTimeout(() => this.resume(), breathMs);
  }

  /** Until resume(). */
  #hold(): void {
    clearTimeout(this.#breath);
    this.#stopOutput();
  }

  /** Bun's terminal cannot stop reading, so the writing side is stopped, as a terminal's Ctrl-S does. */
  #stopOutput(): void {
    if (this.#slave !== undefined) return;
    const number = terminalNumber(this.pid);
    if (number === undefined) return;
    try {
      this.#slave = openSync(`/dev/pts/${number}`, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
      terminalFlow(this.#slave, true);
    } catch (error) {
      if (errnoOf(error) !== 'EIO' && errnoOf(error) !== 'ENOENT') console.error('pause', this.#identity.name, error);
    }
  }
}

/** From the process's controlling terminal (proc(5), field 7 of stat): the N of /dev/pts/N. */
function terminalNumber(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const device = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[4]);
    const major = (device >> 8) & 0xfff;
    return major >= 136 && major <= 143
      ? (major - 136) * 256 + ((device & 0xff) | ((device >> 12) & 0xfff00))
      : undefined;
  } catch {
    return undefined;
  }
}
