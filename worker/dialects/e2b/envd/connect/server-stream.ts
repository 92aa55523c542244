import type { z } from '@hono/zod-openapi';
import { toServiceError } from '../../../../api/render-error.ts';
import { isGone, renderEnvdFailure } from '../error.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { ConnectError, connectFailure, cutsStream } from './failure.ts';
import { messageOf, readMessage } from './message.ts';
import { callOf, type Call } from './unary.ts';

const headerBytes = 5;
const flags = { message: 0, compressed: 1, endOfStream: 2 } as const;
const keepaliveDefaultSeconds = 90;
const keepaliveMinSeconds = 1;
const keepaliveMaxSeconds = 3600;

/**
 * POST /<package>.<Service>/<Method>: one enveloped message in, a stream of them out, each flushed at once. What fails is told by the last
 * envelope, on HTTP 200, but for a sandbox that is gone: then the proxy's 502 is the answer, or the connection is cut.
 */
export const serverStream = <S extends z.ZodType>(
  path: string,
  schema: S,
  /** What is sent when nothing was for a while. */
  keepalive: object,
  open: (call: Call, message: z.output<S>) => Promise<ReadableStream<object>>,
): EnvdRoute => ({
  method: 'POST',
  path,
  access: 'token',
  handler: async (c) => {
    if (!/^application\/connect\+json\s*(;|$)/i.test(c.req.header('content-type') ?? '')) {
      return c.body(null, 415, { 'accept-post': 'application/connect+json' });
    }
    try {
      const events = await open(callOf(c), messageOf(schema, await readEnvelope(c)));
      return streamed(envelopes(c, keepalive, events.getReader()));
    } catch (error) {
      if (!(error instanceof ConnectError) && isGone(toServiceError(error))) return renderEnvdFailure(error, c);
      return streamed(envelope(flags.endOfStream, { error: connectFailure(error, c) }));
    }
  },
});

const streamed = (body: ReadableStream<Uint8Array> | Uint8Array): Response =>
  new Response(body, { headers: { 'content-type': 'application/connect+json', 'cache-control': 'no-store' } });

const readEnvelope = async (c: Handled): Promise<Uint8Array> => {
  const body = await readMessage(c.req.raw);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.byteLength < headerBytes || view.getUint32(1) !== body.byteLength - headerBytes) {
    throw new ConnectError('invalid_argument', 'the body is not one enveloped message');
  }
  if (view.getUint8(0) !== flags.message) throw new ConnectError('unimplemented', 'compressed messages are not read');
  return body.subarray(headerBytes);
};

const encoder = new TextEncoder();

const envelope = (flag: number, message: object): Uint8Array => {
  const json = encoder.encode(JSON.stringify(message));
  const bytes = new Uint8Array(headerBytes + json.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, flag);
  view.setUint32(1, json.byteLength);
  bytes.set(json, headerBytes);
  return bytes;
};

const keepaliveMs = (c: Handled): number => {
  const asked = Number(c.req.header('keepalive-ping-interval') ?? keepaliveDefaultSeconds);
  const seconds = Number.isFinite(asked) && asked > 0 ? asked : keepaliveDefaultSeconds;
  return Math.min(Math.max(seconds, keepaliveMinSeconds), keepaliveMaxSeconds) * 1000;
};

const envelopes = (
  c: Handled,
  keepalive: object,
  reader: ReadableStreamDefaultReader<object>,
): ReadableStream<Uint8Array> => {
  let timer: ReturnType<typeof setInterval> | undefined;
  const end = (controller: ReadableStreamDefaultController<Uint8Array>, last: object) => {
    clearInterval(timer);
    controller.enqueue(envelope(flags.endOfStream, last));
    controller.close();
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        timer = setInterval(() => controller.enqueue(envelope(flags.message, keepalive)), keepaliveMs(c));
      },
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (done) return end(controller, {});
          controller.enqueue(envelope(flags.message, value));
        } catch (error) {
          clearInterval(timer);
          if (cutsStream(error)) throw error;
          end(controller, { error: connectFailure(error, c) });
        }
      },
      cancel: async (reason) => {
        clearInterval(timer);
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
};
