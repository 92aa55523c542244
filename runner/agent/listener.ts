import { chmod, mkdir, rm } from 'node:fs/promises';
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { AgentHello } from '../protocol/agent.ts';
import { FrameReader, decodeJson, frameBounds, frameKind } from '../protocol/agent.ts';
import { limits } from '../protocol/limits.ts';
import { SOCKET_NAME } from './paths.ts';
import { AgentViolation, helloShape } from './replies.ts';

export type AgentLog = (event: string, fields?: Record<string, string | number | boolean>) => void;

const socketPathBytesMax = 107;
/** Transfers, and the connections into the sandbox. */
const connectionsMax = 64 + limits.portConnectionsPerSandbox;
const helloMs = 2_000;
/** An agent that breaks the protocol this often within one session is not listened to any more. */
const violationsMax = 16;
/** Connections that a session takes: this many at once, refilled at this rate. */
const dialBurst = 256;
const dialsPerSecond = 50;

export interface Accepted {
  socket: Socket;
  hello: AgentHello;
  /** What came after the hello. */
  rest: { kind: number; payload: Uint8Array }[];
  frames: FrameReader;
}

/** Listens for one sandbox's agent. Whoever dials is in the sandbox, and may be anyone there. */
export class AgentListener {
  #violations = 0;
  #dials = dialBurst;
  #dialsAt = performance.now();
  #closed = false;
  readonly #open = new Set<Socket>();
  readonly #server: Server;
  readonly #socketDir: string;
  readonly #log: AgentLog;
  readonly #accept: (accepted: Accepted) => boolean;
  readonly #frameBytes: () => number;
  readonly #misbehaved: () => void;

  constructor(options: {
    socketDir: string;
    log: AgentLog;
    /** The longest frame that may come on a control connection at this moment. */
    frameBytes: () => number;
    /** Whether the connection was expected: only unexpected ones are counted against the agent. */
    accept: (accepted: Accepted) => boolean;
    /** The agent has used up our patience: the listener is closed. */
    misbehaved: () => void;
  }) {
    this.#socketDir = options.socketDir;
    this.#log = options.log;
    this.#accept = options.accept;
    this.#frameBytes = options.frameBytes;
    this.#misbehaved = options.misbehaved;
    this.#server = createServer({ noDelay: true }, (socket) => this.#greet(socket));
    this.#server.maxConnections = connectionsMax;
    // accept(2) failing (no descriptors left on the node) must not end the runner.
    this.#server.on('error', (error) => this.#log('agent listener error', { error: error.message }));
  }

  /** For the first time, or again after hangUp(). */
  async listen(): Promise<void> {
    if (this.#closed) throw new Error('the session has ended');
    if (this.#server.listening) return;
    const path = join(this.#socketDir, SOCKET_NAME);
    if (Buffer.byteLength(path) > socketPathBytesMax) {
      throw new Error(`the socket path ${path} is longer than ${socketPathBytesMax} bytes`);
    }
    await mkdir(this.#socketDir, { recursive: true, mode: 0o755 });
    // Left by a runner that was killed: its agents dial this path again.
    await rm(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    await chmod(path, 0o600);
    // It ended meanwhile.
    if (this.#closed) await this.hangUp();
  }

  /** Whoever is connected is cut, and whoever dials finds nobody, until listen(). */
  async hangUp(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    // It also removes the socket's file.
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.hangUp();
  }

  /** Drops the connection for breaking the protocol. */
  violation(socket: Socket, reason: string): void {
    socket.destroy();
    if (this.#closed) return;
    this.#violations += 1;
    this.#log('agent broke the protocol', { reason, times: this.#violations });
    if (this.#violations < violationsMax) return;
    this.#misbehaved();
    void this.close();
  }

  #greet(socket: Socket): void {
    this.#open.add(socket);
    const timer = setTimeout(() => this.violation(socket, 'no hello in time'), helloMs);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#open.delete(socket);
    });
    // A connection's end is all that counts; 'close' follows.
    socket.on('error', () => undefined);
    if (!this.#takeDial()) return this.violation(socket, 'too many connections');
    let role: AgentHello['role'] | undefined;
    const frames = new FrameReader(() => (role === 'control' ? this.#frameBytes() : frameBounds.frameBytes));
    const onData = (chunk: Buffer): void => {
      try {
        let hello: AgentHello | undefined;
        const rest: Accepted['rest'] = [];
        for (const frame of frames.push(chunk)) {
          if (hello === undefined) role = (hello = readHello(frame)).role;
          else rest.push(frame);
        }
        if (hello === undefined) return;
        clearTimeout(timer);
        socket.off('data', onData);
        // Until its taker listens nothing may be lost.
        if (hello.role === 'data') socket.pause();
        if (this.#accept({ socket, hello, rest, frames })) this.#dials += 1;
      } catch (error) {
        this.violation(socket, error instanceof Error ? error.message : 'unreadable');
      }
    };
    socket.on('data', onData);
  }

  #takeDial(): boolean {
    const now = performance.now();
    this.#dials = Math.min(dialBurst, this.#dials + ((now - this.#dialsAt) / 1000) * dialsPerSecond);
    this.#dialsAt = now;
    if (this.#dials < 1) return false;
    this.#dials -= 1;
    return true;
  }
}

function readHello(frame: { kind: number; payload: Uint8Array }): AgentHello {
  if (frame.kind !== frameKind.hello) throw new AgentViolation('no hello');
  const parsed = helloShape.safeParse(decodeJson(frame.payload));
  if (!parsed.success) throw new AgentViolation('a hello of the wrong shape');
  return parsed.data;
}
