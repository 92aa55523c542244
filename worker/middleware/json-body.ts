import type { Context as HonoContext, MiddlewareHandler } from 'hono';
import type { AppEnv } from '../api/app-env.ts';
import { ServiceError } from '../core/errors.ts';
import { discardBody } from './discard-body.ts';

const isJson = /^application\/json\s*(;|$)/i;

const tooLarge = (maxBytes: number) =>
  new ServiceError('payload_too_large', `The body of this request may have at most ${maxBytes} bytes.`);

/** Before a JSON route's body is looked at: its size (by its length, where that is told), its type, its being there. */
export const boundedJsonBody =
  (required: boolean, maxBytes: number): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    const length = c.req.header('content-length');
    const { body } = c.req.raw;
    if (length !== undefined && Number(length) > maxBytes) throw tooLarge(maxBytes);
    const present = body !== null && length !== '0';
    if (!present && required) {
      throw new ServiceError(
        'invalid_argument',
        'This request needs a JSON body, {} at least, with Content-Type: application/json.',
      );
    }
    if (present && !isJson.test(c.req.header('content-type') ?? '')) {
      throw new ServiceError('invalid_argument', 'The body must be JSON and say so: Content-Type: application/json.');
    }
    if (present && length === undefined) await readBounded(c, body, maxBytes);
    if (!present) c.req.raw = withEmptyObject(c.req.raw);
    await next();
  };

/** An absent body is {}: else nothing would put the defaults of its fields in place. */
const withEmptyObject = (request: Request): Request => {
  const headers = new Headers(request.headers);
  headers.delete('content-length');
  headers.set('content-type', 'application/json');
  return new Request(request, { method: request.method, headers, body: '{}' });
};

/** A chunked body is read here, so that its bound holds; with a length the runtime holds the client to it. */
const readBounded = async (
  c: HonoContext<AppEnv>,
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
): Promise<void> => {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > maxBytes) {
      await discardBody(reader);
      throw tooLarge(maxBytes);
    }
    chunks.push(value);
  }
  c.req.raw = new Request(c.req.raw, { method: c.req.method, body: await new Blob(chunks).arrayBuffer() });
};
