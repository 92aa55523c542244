import type { Context as HonoContext, MiddlewareHandler } from 'hono';
import type { AppEnv } from '../api/app-env.ts';
import { ServiceError } from '../core/errors.ts';

const isJson = /^application\/json\s*(;|$)/i;

const tooLarge = (maxBytes: number) =>
  new ServiceError('payload_too_large', `The body of this request may have at most ${maxBytes} bytes.`);

/** Before a JSON route's body is looked at: its size (refused unread where the length is told), its type, its being there. */
export const boundedJsonBody =
  (required: boolean, maxBytes: number): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    const length = c.req.header('content-length');
    if (length !== undefined && Number(length) > maxBytes) throw tooLarge(maxBytes);
    const present = c.req.raw.body !== null && length !== '0';
    if (!present && required) {
      throw new ServiceError(
        'invalid_argument',
        'This request needs a JSON body, {} at least, with Content-Type: application/json.',
      );
    }
    if (present && !isJson.test(c.req.header('content-type') ?? '')) {
      throw new ServiceError('invalid_argument', 'The body must be JSON and say so: Content-Type: application/json.');
    }
    if (present && length === undefined) await readBounded(c, maxBytes);
    await next();
  };

/** A chunked body is read here, so that its bound holds; with a length the runtime holds the client to it. */
const readBounded = async (c: HonoContext<AppEnv>, maxBytes: number): Promise<void> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  c.req.raw = new Request(c.req.raw, { method: c.req.method, body: await new Blob(chunks).arrayBuffer() });
};
