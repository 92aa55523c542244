import type { z } from '@hono/zod-openapi';
import type { Feed } from '../../../../core/feed.ts';
import { toServiceError } from '../../../../api/render-error.ts';
import { isGone, renderEnvdFailure } from '../error.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { callOf, deadlineExceeded, type Call } from './call.ts';
import { encodeEnvelope, envelopeFlags, openEnvelope } from './envelope.ts';
import { ConnectError, connectFailure, cutsStream } from './failure.ts';
import { messageOf, readBody, refuseCompression } from './message.ts';
import { isStream, lastEnvelope, refuseType, streamed } from './stream.ts';

const keepaliveDefaultSeconds = 90;
const keepaliveMaxSeconds = 3600;

/**
 * POST /<package>.<Service>/<Method>: one enveloped message in, a stream of them out, each flushed at once, until the call's deadline.
 * What fails is told by the last envelope, on HTTP 200, but for a sandbox that is gone: then the proxy's 502 is the answer, or the
 * connection is cut.
 */
export const serverStream = <S extends z.ZodType>(
  path: string,
  schema: S,
  /** What is sent when nothing was for a while. */
  keepalive: object,
  open: (call: Call, message: z.output<S>) => Promise<Feed<object>>,
): EnvdRoute => ({
  method: 'POST',
  path,
  access: 'token',
  handler: async (c) => {
    if (!isStream(c)) return refuseType(c);
    try {
      const call = callOf(c);
      refuseCompression(c.req.raw);
      const events = await open(call, messageOf(schema, openEnvelope(await readBody(c.req.raw))));
      return streamed(envelopes(call, keepalive, events));
    } catch (error) {
      if (!(error instanceof ConnectError) && isGone(toServiceError(error))) return renderEnvdFailure(error, c);
      return streamed(lastEnvelope({ error: connectFailure(error, c) }));
    }
  },
});

const keepaliveMs = (c: Handled): number => {
  const asked = Number(c.req.header('keepalive-ping-interval') ?? keepaliveDefaultSeconds);
  const seconds = Number.isInteger(asked) && asked > 0 ? asked : keepaliveDefaultSeconds;
  return Math.min(seconds, keepaliveMaxSeconds) * 1000;
};

/** As fast as the client reads: what it does not take stays where the events come from. */
const envelopes = ({ c, timeoutMs }: Call, keepalive: object, events: Feed<object>): ReadableStream<Uint8Array> => {
  let over = false;
  const idleMs = keepaliveMs(c);
  let sentAtMs = Date.now();
  let idle: ReturnType<typeof setTimeout> | undefined;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    over = true;
    clearTimeout(idle);
    clearTimeout(deadline);
  };
  const end = (controller: ReadableStreamDefaultController<Uint8Array>, last: object) => {
    stop();
    controller.enqueue(lastEnvelope(last));
    controller.close();
  };
  /** One timer for all of the stream, which looks when it fires: a new one for each event would cost more than the event. */
  const awaitIdle = (controller: ReadableStreamDefaultController<Uint8Array>, waitMs: number) => {
    idle = setTimeout(() => {
      const leftMs = sentAtMs + idleMs - Date.now();
      if (leftMs > 0) return awaitIdle(controller, leftMs);
      // A client that does not read gets one and not a heap of them.
      if (controller.desiredSize === 0) controller.enqueue(encodeEnvelope(envelopeFlags.message, keepalive));
      sentAtMs = Date.now();
      awaitIdle(controller, idleMs);
    }, waitMs);
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        awaitIdle(controller, idleMs);
        if (timeoutMs === undefined) return;
        deadline = setTimeout(() => {
          end(controller, { error: connectFailure(deadlineExceeded(), c) });
          c.executionCtx.waitUntil(events.cancel());
        }, timeoutMs);
      },
      pull: async (controller) => {
        try {
          const message = await events.next();
          if (over) return;
          if (message === undefined) return end(controller, {});
          controller.enqueue(encodeEnvelope(envelopeFlags.message, message));
          sentAtMs = Date.now();
        } catch (error) {
          if (over) return;
          stop();
          c.executionCtx.waitUntil(events.cancel());
          if (cutsStream(error)) throw error;
          end(controller, { error: connectFailure(error, c) });
        }
      },
      cancel: async () => {
        stop();
        await events.cancel();
      },
    },
    { highWaterMark: 0 },
  );
};
