import type { Context as HonoContext } from 'hono';
import { chunksOf } from '../core/formats/byte-source.ts';
import { steady } from '../core/formats/steady.ts';
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

/** A client on a bad line is faster than this. */
const pace = { bytes: 16 * 1024, withinMs: 60_000 };

/**
 * The same for verbs that read it piece by piece and hold memory or a place while they do: a body that is cut, or that stands still, fails as
 * the client's fault, which it is, and not as ours.
 */
export const contentOf = (
  c: HonoContext<AppEnv>,
): { content: AsyncIterable<Uint8Array> | Uint8Array; contentBytes: number | null } => {
  const { body, contentBytes } = bodyOf(c);
  // What is not read of one that is refused, heardRefusals throws away.
  return { content: body === null ? new Uint8Array() : steady(chunksOf(body, 'leave'), pace), contentBytes };
};
