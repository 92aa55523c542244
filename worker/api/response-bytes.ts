import { ServiceError } from '../core/errors.ts';
import type { AdminContext } from '../core/ports.ts';

/** Bytes from a sandbox are never rendered on the API's origin. `name` is the sandbox's, thus untrusted (RFC 6266, RFC 8187). */
export const contentHeaders = (type: string, name: string): Record<string, string> => ({
  'content-type': type,
  'content-disposition': `attachment; filename*=UTF-8''${extValue(name)}`,
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
});

const extValue = (name: string): string =>
  encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** Up to here a body is read whole before the answer begins, so that its failure is an answer too. */
const bufferedMaxBytes = 256 * 1024;

/**
 * Answers with a sandbox's bytes. Larger bodies pass through natively, without a byte of them going through JavaScript. With a
 * known length the answer has a Content-Length, and a body that ends early fails instead of looking whole.
 */
export const answerBytes = async (
  ctx: Pick<AdminContext, 'after' | 'log'>,
  body: ReadableStream<Uint8Array>,
  contentBytes: number | undefined,
  status: 200 | 206,
  headers: Record<string, string>,
): Promise<Response> => {
  if (contentBytes === undefined) return new Response(body, { status, headers });
  if (contentBytes <= bufferedMaxBytes) {
    const bytes = await new Response(body).arrayBuffer();
    if (bytes.byteLength === contentBytes) return new Response(bytes, { status, headers });
    throw new ServiceError(
      'transfer_failed',
      'The file could not be read whole: it may have changed meanwhile. Try again.',
    );
  }
  const { readable, writable } = new FixedLengthStream(contentBytes);
  // A failure, the client's going away most of the time, ends both ends by itself; it is worth a line in the log and nothing else.
  const passed = body.pipeTo(writable).catch((error: unknown) => ctx.log('warn', 'a download was cut', error));
  ctx.after(passed);
  return new Response(readable, { status, headers });
};
