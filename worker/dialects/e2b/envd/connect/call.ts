import { contextOf } from '../../../../api/context.ts';
import type { SandboxAccess } from '../../../../core/access/sandbox-access.ts';
import type { Context, SandboxRef } from '../../../../core/ports.ts';
import { sandboxRefOf } from '../../../../core/sandboxes/sandbox-ref.ts';
import type { Handled } from '../route.ts';
import { ConnectError } from './failure.ts';

export interface Call {
  c: Handled;
  ctx: Context;
  ref: SandboxRef;
  sandbox: SandboxAccess;
  /** Within which the caller wants its answer, or its stream to end. */
  timeoutMs: number | undefined;
}

export const callOf = (c: Handled): Call => {
  const ctx = contextOf(c);
  const sandbox = c.get('sandbox');
  if (!sandbox) throw new Error('an RPC was reached without a sandbox');
  return {
    c,
    ctx,
    ref: sandboxRefOf(ctx, sandbox.sandboxId),
    sandbox,
    timeoutMs: timeoutMsOf(c.req.header('connect-timeout-ms')),
  };
};

/** A timer's own limit, with room for a grace: 24 days, in which no sandbox gets. */
const longestTimeoutMs = 24 * 24 * 3600 * 1000;

/** At most ten digits, says the protocol. Absent and 0 are no deadline, as envd has it. */
export const timeoutMsOf = (header: string | undefined): number | undefined => {
  if (header === undefined || header === '') return undefined;
  if (!/^\d{1,10}$/.test(header)) {
    throw new ConnectError('invalid_argument', `invalid Connect-Timeout-Ms: "${header.slice(0, 64)}"`);
  }
  const timeoutMs = Number(header);
  return timeoutMs === 0 ? undefined : Math.min(timeoutMs, longestTimeoutMs);
};

export const deadlineExceeded = (): ConnectError => new ConnectError('deadline_exceeded', 'the deadline has passed');

/** What is late goes on: whether it will be done nobody can say. */
export const inTime = async <T>(timeoutMs: number | undefined, work: Promise<T>): Promise<T> => {
  if (timeoutMs === undefined) return work;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(deadlineExceeded()), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};
