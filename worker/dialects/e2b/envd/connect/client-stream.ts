import type { z } from '@hono/zod-openapi';
import { toServiceError } from '../../../../api/render-error.ts';
import { concatBytes } from '../../../../core/concat-bytes.ts';
import { ByteSource, chunksOf } from '../../../../core/formats/byte-source.ts';
import { steady } from '../../../../core/formats/steady.ts';
import { heard } from '../../../../middleware/heard-refusals.ts';
import { isGone, renderEnvdFailure } from '../error.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { callOf, deadlineExceeded, inTime, type Call } from './call.ts';
import { encodeEnvelope, envelopeFlags, openEnvelopes } from './envelope.ts';
import { ConnectError, connectFailure } from './failure.ts';
import { messageMaxBytes, messageOf, refuseCompression } from './message.ts';
import { isStream, lastEnvelope, refuseType, streamed } from './stream.ts';

/** A client that has nothing to say says that it is there. */
const silence = { bytes: 1, withinMs: 15 * 60_000 };

/**
 * POST /<package>.<Service>/<Method>: a stream of enveloped messages in, each taken before the next one is read, until the body's end or the
 * call's deadline; then one message out and the last envelope, which tells what failed, on HTTP 200. The first failure ends it.
 */
export const clientStream = <S extends z.ZodType>(
  path: string,
  schema: S,
  open: (call: Call) => (message: z.output<S>) => Promise<void>,
): EnvdRoute => ({
  method: 'POST',
  path,
  access: 'token',
  handler: async (c) => {
    if (!isStream(c)) return refuseType(c);
    let over = false;
    try {
      const call = callOf(c);
      refuseCompression(c.req.raw);
      const take = open(call);
      const taking = takeAll(c, async (message) => {
        if (over) throw deadlineExceeded();
        await take(messageOf(schema, message));
      });
      await inTime(call.timeoutMs, taking);
      return streamed(concatBytes([encodeEnvelope(envelopeFlags.message, {}), lastEnvelope({})]));
    } catch (error) {
      over = true;
      if (!(error instanceof ConnectError) && isGone(toServiceError(error))) return renderEnvdFailure(error, c);
      return heard(c, streamed(lastEnvelope({ error: connectFailure(error, c) })));
    }
  },
});

const takeAll = async (c: Handled, take: (message: Uint8Array) => Promise<void>): Promise<void> => {
  const { body } = c.req.raw;
  if (body === null) return;
  const source = new ByteSource(steady(chunksOf(body, 'leave'), silence));
  try {
    for await (const message of openEnvelopes(source, messageMaxBytes)) await take(message);
  } finally {
    await source.close();
  }
};
