import type { Handled } from '../route.ts';
import { encodeEnvelope, envelopeFlags } from './envelope.ts';

/** What calls have in common that stream one way or the other. */
export const isStream = (c: Handled): boolean =>
  /^application\/connect\+json\s*(;|$)/i.test(c.req.header('content-type') ?? '');
export const refuseType = (c: Handled): Response => c.body(null, 415, { 'accept-post': 'application/connect+json' });

export const streamed = (body: ReadableStream<Uint8Array> | Uint8Array): Response =>
  new Response(body, { headers: { 'content-type': 'application/connect+json', 'cache-control': 'no-store' } });

export const lastEnvelope = (message: object): Uint8Array => encodeEnvelope(envelopeFlags.endOfStream, message);
