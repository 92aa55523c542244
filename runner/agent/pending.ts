import { z } from 'zod';
import { RunnerError } from '../protocol/errors.ts';
import { AgentViolation, faultError, replyShape } from './replies.ts';

/** Of callers. What a new connection takes up again has room beside them: nobody would ask again if it were refused. */
const pendingMax = 1024;
export const resumedAtOnce = 64;

/** Of callers; of callers, with an answer that may be longer than a frame; of readers and watches from before the connection. */
export type RequestKind = 'ordinary' | 'long' | 'resumed';

interface Waiting {
  shape: z.ZodType;
  kind: RequestKind;
  onCut: ((error: RunnerError) => RunnerError) | undefined;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  timer: NodeJS.Timeout;
}

/** Requests that await their reply on the present control connection, each with a deadline. */
export class PendingRequests {
  #next = 1;
  readonly #underWay: Record<RequestKind, number> = { ordinary: 0, long: 0, resumed: 0 };
  /** Given up by us: their replies may still come, and are no fault of the agent's. */
  #abandoned = new Set<number>();
  readonly #waiting = new Map<number, Waiting>();

  /** Whether a reply longer than an ordinary frame is awaited. */
  get awaitsLongReply(): boolean {
    return this.#underWay.long > 0;
  }

  /** Calls `send` with the id to use. Throws agent_unavailable, at once, where there are too many. */
  add<T>(
    shape: z.ZodType<T>,
    options: {
      timeoutMs: number;
      kind: RequestKind;
      onTimeout(): RunnerError;
      /** What to say when the connection goes before the answer has come; else the reason itself. */
      onCut?: (error: RunnerError) => RunnerError;
    },
    send: (id: number) => void,
  ): Promise<T> {
    const { kind } = options;
    const { resumed } = this.#underWay;
    if (kind === 'resumed' ? resumed >= resumedAtOnce : this.#waiting.size - resumed >= pendingMax) {
      throw new RunnerError('agent_unavailable', 'Too many requests to this sandbox are under way; try again later.');
    }
    const id = this.#next;
    this.#next = this.#next === 0xffffffff ? 1 : this.#next + 1;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#take(id);
        this.#abandon(id);
        reject(options.onTimeout());
      }, options.timeoutMs);
      this.#waiting.set(id, { shape, kind, onCut: options.onCut, resolve, reject, timer });
      this.#underWay[kind] += 1;
      send(id);
    });
  }

  /** Throws AgentViolation for what was not asked or has not the shape asked for. */
  settle(message: unknown): void {
    const parsed = replyShape.safeParse(message);
    if (!parsed.success) throw new AgentViolation('a reply of the wrong shape');
    const reply = parsed.data;
    const waiting = this.#take(reply.id);
    if (waiting === undefined) {
      if (this.#abandoned.delete(reply.id)) return;
      throw new AgentViolation('a reply to no request');
    }
    if ('fault' in reply) return waiting.reject(faultError(reply.fault));
    const value = waiting.shape.safeParse(reply.value);
    if (value.success) return waiting.resolve(value.data);
    waiting.reject(new RunnerError('agent_unavailable', 'The sandbox gave an answer that cannot be understood.'));
    throw new AgentViolation('a result of the wrong shape');
  }

  failAll(error: RunnerError): void {
    for (const id of this.#waiting.keys()) {
      const waiting = this.#take(id);
      waiting?.reject(waiting.onCut?.(error) ?? error);
    }
    this.#abandoned.clear();
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    this.#underWay[waiting.kind] -= 1;
    return waiting;
  }

  #abandon(id: number): void {
    if (this.#abandoned.size >= pendingMax) this.#abandoned.delete(this.#abandoned.values().next().value ?? 0);
    this.#abandoned.add(id);
  }
}
