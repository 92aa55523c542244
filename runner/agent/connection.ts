import type { Socket } from 'node:net';
import type { z } from 'zod';
import type { AgentEvent, AgentRequest } from '../protocol/agent.ts';
import { decodeJson, encodeJson, encodeStdin, frameKind } from '../protocol/agent.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { Accepted } from './listener.ts';
import { PendingRequests, type RequestKind } from './pending.ts';
import { AgentViolation, eventShape } from './replies.ts';

/** An agent that does not read what it is sent is dropped at this much. */
const unsentBytesMax = 48 * 1024 * 1024;

type Body = AgentRequest extends infer R ? (R extends AgentRequest ? Omit<R, 'id'> : never) : never;

export interface ConnectionHandlers {
  output(payload: Uint8Array): void;
  event(event: AgentEvent): void;
  violation(socket: Socket, reason: string): void;
  closed(connection: ControlConnection): void;
}

export const unavailable = (message = 'The sandbox does not answer at the moment; try again.'): RunnerError =>
  new RunnerError('agent_unavailable', message);

/** Not a code after which one tries again as a matter of course: the bytes would come twice. */
export const inputInDoubt = (): RunnerError =>
  new RunnerError('transfer_failed', 'The sandbox did not confirm the input: whether it was taken is not known.');

/** The host's end of one control connection. */
export class ControlConnection {
  readonly pending: PendingRequests;
  readonly #socket: Socket;
  readonly #handlers: ConnectionHandlers;

  constructor(accepted: Accepted, pending: PendingRequests, handlers: ConnectionHandlers) {
    this.pending = pending;
    this.#socket = accepted.socket;
    this.#handlers = handlers;
    this.#socket.on('data', (chunk: Buffer) => this.#guard(() => accepted.frames.push(chunk)));
    this.#socket.once('close', () => handlers.closed(this));
    this.#guard(() => accepted.rest);
  }

  request<T>(body: Body, shape: z.ZodType<T>, timeoutMs: number, kind: RequestKind = 'ordinary'): Promise<T> {
    const options = { timeoutMs, kind, onTimeout: () => unavailable('The sandbox did not answer in time.') };
    return this.pending.add(shape, options, (id) =>
      this.send(encodeJson(frameKind.request, Object.assign({ id }, body))),
    );
  }

  stdin(processId: string, bytes: Uint8Array, shape: z.ZodType<null>, timeoutMs: number): Promise<null> {
    const options = { timeoutMs, kind: 'ordinary' as const, onTimeout: inputInDoubt, onCut: inputInDoubt };
    return this.pending.add(shape, options, (id) => this.send(encodeStdin(id, processId, bytes)));
  }

  send(frame: Uint8Array): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(frame);
    if (this.#socket.writableLength > unsentBytesMax) this.#handlers.violation(this.#socket, 'it does not read');
  }

  close(): void {
    this.#socket.destroy();
  }

  #guard(frames: () => Iterable<{ kind: number; payload: Uint8Array }>): void {
    try {
      for (const { kind, payload } of frames()) {
        if (this.#socket.destroyed) return;
        this.#receive(kind, payload);
      }
    } catch (error) {
      this.#handlers.violation(this.#socket, error instanceof Error ? error.message : 'unreadable');
    }
  }

  #receive(kind: number, payload: Uint8Array): void {
    switch (kind) {
      case frameKind.output:
        return this.#handlers.output(payload);
      case frameKind.reply:
        return this.pending.settle(decodeJson(payload));
      case frameKind.event: {
        const event = eventShape.safeParse(decodeJson(payload));
        if (!event.success) throw new AgentViolation('an event of the wrong shape');
        return this.#handlers.event(event.data);
      }
      default:
        throw new AgentViolation(`a frame of unknown kind ${kind}`);
    }
  }
}
