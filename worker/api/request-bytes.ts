import type { Context as HonoContext } from 'hono';
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
