import { z } from 'zod';
import {
  heartbeatAnswer,
  joinAnswer,
  type Heartbeat,
  type HeartbeatAnswer,
  type JoinAnswer,
  type JoinRequest,
} from './protocol/node-report.ts';
import { delay } from './clock.ts';
import type { Logger } from './log.ts';

const JOIN_TIMEOUT_MS = 10_000;
const HEARTBEAT_TIMEOUT_MS = 10_000;
const LEAVE_TIMEOUT_MS = 2_000;
const JOIN_RETRY_FIRST_MS = 250;
const JOIN_RETRY_MAX_MS = 5_000;
/** Then the process ends, and whoever supervises it starts it again. */
const JOIN_ATTEMPTS = 60;
const ANSWER_BYTES = 4 * 1024 * 1024;

/** The control plane said no, and will say it again: retrying is no use. */
export class Refused extends Error {
  readonly status: number;
  constructor(what: string, status: number) {
    super(`The control plane refused the ${what} with status ${status}.`);
    this.name = 'Refused';
    this.status = status;
  }
}

export interface ControlPlane {
  /** Retries while the control plane is away; throws Refused when the token or the request is not accepted. */
  join(request: JoinRequest, signal: AbortSignal): Promise<JoinAnswer>;
  /** One attempt. Throws Refused when the credentials are not (any more) known. */
  heartbeat(runner: { runnerId: string; secret: string }, beat: Heartbeat): Promise<HeartbeatAnswer>;
  /** Nothing of it is left on its node, and nobody need wait for it. It may join again as who it was. One attempt. */
  leave(runner: { runnerId: string; secret: string }): Promise<void>;
}

export function createControlPlane(parts: { url: string; joinToken: string; log: Logger }): ControlPlane {
  const { url, joinToken, log } = parts;
  return {
    join: async (body, signal) => {
      const path = `${url}/internal/runners/join`;
      for (let attempt = 1; ; attempt++) {
        try {
          return joinAnswer.parse(await post(path, joinToken, body, JOIN_TIMEOUT_MS, 'join'));
        } catch (error) {
          if (error instanceof Refused || error instanceof z.ZodError || attempt >= JOIN_ATTEMPTS) throw error;
          log.warn('join_retried', { attempt, error: error instanceof Error ? error : new Error(String(error)) });
          await delay(Math.min(JOIN_RETRY_FIRST_MS * 2 ** (attempt - 1), JOIN_RETRY_MAX_MS), signal);
        }
      }
    },
    heartbeat: async ({ runnerId, secret }, beat) => {
      const path = `${url}/internal/runners/${runnerId}/heartbeat`;
      return heartbeatAnswer.parse(await post(path, secret, beat, HEARTBEAT_TIMEOUT_MS, 'heartbeat'));
    },
    leave: async ({ runnerId, secret }) => {
      await post(`${url}/internal/runners/${runnerId}/leave`, secret, {}, LEAVE_TIMEOUT_MS, 'leave');
    },
  };
}

async function post(url: string, bearer: string, body: unknown, timeoutMs: number, what: string): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (!response.ok) {
    await response.body?.cancel();
    if (response.status === 429 || response.status >= 500)
      throw new Error(`the ${what} was answered ${response.status}`);
    throw new Refused(what, response.status);
  }
  const text = await response.text();
  if (text.length > ANSWER_BYTES) throw new Error(`the answer to the ${what} is too large`);
  return JSON.parse(text);
}
