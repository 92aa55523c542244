import { z } from 'zod';
import { limits } from './limits.ts';

/** Requests to servers inside a sandbox, as they travel between the edge and its runner. */
export const portNumber = z.int().min(1).max(65_535);

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** In the order in which they came; a name may come again. Hop-by-hop headers never travel. */
export const portHeaders = z
  .array(
    z.tuple([
      z.string().min(1).max(256).regex(token),
      z
        .string()
        .max(limits.portHeadBytes)
        .refine((value) => !/[\r\n\0]/.test(value), 'a header is one line'),
    ]),
  )
  .max(limits.portHeaders);
export type PortHeaders = z.infer<typeof portHeaders>;

/** The head of a request. `headers` has the Host. */
export const portRequest = z.object({
  port: portNumber,
  method: z.string().max(32).regex(token),
  /** Path and query as they go onto the wire. */
  target: z
    .string()
    .max(limits.portTargetBytes)
    .regex(/^\/[\x21-\x7e\x80-\xff]*$/),
  headers: portHeaders,
});
export type PortRequest = z.infer<typeof portRequest>;

/**
 * The head of an answer. Its body: `none`; `inline`, as `data` events and `end`; `transfer`, through the transfer that the job named.
 * `contentBytes` is absent where the length is not known.
 */
export const portHead = z.object({
  status: z.int().min(200).max(599),
  headers: portHeaders,
  body: z.enum(['none', 'inline', 'transfer']),
  contentBytes: z.int().min(0).optional(),
});
export type PortHead = z.infer<typeof portHead>;

/** A WebSocket that the server inside has accepted, or its answer to who asked for one, cut to inlineBytes. */
export const portSocketHead = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('open'), protocol: z.string().max(256) }),
  z.object({ kind: z.literal('refused'), head: portHead }),
]);
export type PortSocketHead = z.infer<typeof portSocketHead>;

export const webSocketProtocols = z.array(z.string().min(1).max(256).regex(token)).max(32);
