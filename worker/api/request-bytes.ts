import type { Context as HonoContext } from 'hono';
import { ServiceError } from '../core/errors.ts';
import { chunksOf } from '../core/formats/byte-source.ts';
import type { AppEnv } from './app-env.ts';

/** A body of raw bytes, unread, and its length where the client told it (null: chunked). */
export const bodyOf = (
  c: HonoContext<AppEnv>,
): { body: ReadableStream<Uint8Array> | null; contentBytes: number | null } => {
  const { body } = c.req.raw;
  if (body === null) return { body, contentBytes: 0 };
  const length = c.req.header('content-length');
  return { body, contentBytes: length === undefined ? null : Number(length) };
};

/** The same for verbs that read it piece by piece: a body that is cut fails as the client's fault, which it is, and not as ours. */
export const contentOf = (
  c: HonoContext<AppEnv>,
): { content: AsyncIterable<Uint8Array> | Uint8Array; contentBytes: number | null } => {
  const { body, contentBytes } = bodyOf(c);
  return { content: body === null ? new Uint8Array() : uncut(body), contentBytes };
};

async function* uncut(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    yield* chunksOf(body);
  } catch (error) {
    throw new ServiceError('invalid_argument', 'The body was cut before its end.', { cause: error });
  }
}
