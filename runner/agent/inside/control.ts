import type { AgentEvent, AgentReply, AgentRequest } from '../../protocol/agent.ts';
import {
  FrameReader,
  agentProtocol,
  decodeCredit,
  decodeDetach,
  decodeJson,
  decodeStdin,
  encodeJson,
  frameBounds,
  frameKind,
} from '../../protocol/agent.ts';
import { toFault } from './fault.ts';
import { noteActivity } from './memory.ts';
import type { Outlet } from './reader.ts';
import { SocketWriter } from './socket-writer.ts';

const redialMs = 100;

export interface ControlHandlers {
  /** What the reply carries. Runs in the order of arrival up to its first await. */
  request(request: AgentRequest, outlet: Outlet): unknown;
  stdin(processId: string, bytes: Uint8Array): Promise<void>;
  grant(reader: number, bytes: number): void;
  detach(reader: number): void;
  /** The connection is gone: its readers and watches with it. */
  closed(): void;
}

/** Keeps one control connection to the host, for ever. */
export class ControlConnection implements Outlet {
  #writer: SocketWriter | undefined;
  readonly #path: string;
  readonly #boot: string;
  readonly #handlers: ControlHandlers;

  constructor(path: string, boot: string, handlers: ControlHandlers) {
    this.#path = path;
    this.#boot = boot;
    this.#handlers = handlers;
  }

  dial(): void {
    const again = (): void => void setTimeout(() => this.dial(), redialMs);
    let frames = new FrameReader(() => frameBounds.requestBytes);
    let opened = false;
    Bun.connect({
      unix: this.#path,
      socket: {
        open: (socket) => {
          opened = true;
          this.#writer = new SocketWriter(socket);
          frames = new FrameReader(() => frameBounds.requestBytes);
          this.#writer.write(
            encodeJson(frameKind.hello, {
              role: 'control',
              protocol: agentProtocol,
              boot: this.#boot,
              pid: process.pid,
            }),
          );
        },
        data: (socket, chunk) => {
          try {
            for (const frame of frames.push(chunk)) this.#receive(frame.kind, frame.payload);
          } catch (error) {
            console.error('control', error);
            socket.terminate();
          }
        },
        drain: () => this.#writer?.flush(),
        close: () => {
          if (!opened) return;
          opened = false;
          this.#writer = undefined;
          this.#handlers.closed();
          again();
        },
        error: () => undefined,
      },
    }).catch(again);
  }

  get congested(): boolean {
    return this.#writer?.congested ?? true;
  }

  frame(frame: Uint8Array): void {
    this.#writer?.write(frame);
  }

  event(event: AgentEvent): void {
    this.frame(encodeJson(frameKind.event, event));
  }

  #receive(kind: number, payload: Uint8Array): void {
    noteActivity(payload.length);
    switch (kind) {
      case frameKind.request: {
        const request = decodeJson(payload) as AgentRequest;
        return this.#answer(request.id, () => this.#handlers.request(request, this));
      }
      case frameKind.stdin: {
        const { id, processId, bytes } = decodeStdin(payload);
        return this.#answer(id, () => this.#handlers.stdin(processId, bytes));
      }
      case frameKind.credit: {
        const { reader, bytes } = decodeCredit(payload);
        return this.#handlers.grant(reader, bytes);
      }
      case frameKind.detach:
        return this.#handlers.detach(decodeDetach(payload));
      default:
        throw new Error(`a frame of unknown kind ${kind}`);
    }
  }

  #answer(id: number, work: () => unknown): void {
    // A reply must not reach another connection than its request's.
    const writer = this.#writer;
    const reply = (answer: AgentReply): void => writer?.write(encodeJson(frameKind.reply, answer));
    const fail = (error: unknown): void => {
      const fault = toFault(error);
      if (fault.code === 'internal') console.error('request', error);
      reply({ id, fault });
    };
    try {
      const value = work();
      if (value instanceof Promise) value.then((result: unknown) => reply({ id, value: result ?? null }), fail);
      else reply({ id, value: value ?? null });
    } catch (error) {
      fail(error);
    }
  }
}
