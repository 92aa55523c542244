import type { Context as HonoContext, MiddlewareHandler } from 'hono';
import type { AppEnv } from '../api/app-env.ts';
import { discardBody } from './discard-body.ts';

/** Every refusal whose request brings a body that nobody reads to its end. */
export const heardRefusals: MiddlewareHandler<AppEnv> = async (c, next) => {
  const { raw } = c.req;
  await next();
  if (c.res.status >= 400) c.res = await heard(c, c.res, raw);
};

/**
 * The runtime would close the connection behind an answer to a request that was not read to its end, and a client that is still writing would
 * see that and not the answer. So the answer goes out whole at once, and is only ended when what comes has been thrown away, as far as
 * discardBody goes.
 */
export const heard = async (c: HonoContext<AppEnv>, response: Response, raw = c.req.raw): Promise<Response> => {
  if (raw.body === null || raw.body.locked) return response;
  const unread = raw.body.getReader();
  const answer = new Uint8Array(await response.arrayBuffer());
  const { readable, writable } = new FixedLengthStream(answer.byteLength);
  c.executionCtx.waitUntil(send(writable.getWriter(), answer, unread));
  return new Response(readable, response);
};

const send = async (
  writer: WritableStreamDefaultWriter<Uint8Array>,
  answer: Uint8Array,
  unread: ReadableStreamDefaultReader<Uint8Array>,
): Promise<void> => {
  try {
    await writer.write(answer);
    await discardBody(unread);
    await writer.close();
  } catch {
    // The client has what it wanted to know, or has gone without.
  }
};
