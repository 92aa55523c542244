import { ServiceError } from '../core/errors.ts';

const tooLarge = (maxBytes: number): ServiceError =>
  new ServiceError('payload_too_large', `The body is larger than ${maxBytes} bytes.`);

/** The body as text; no more than maxBytes of it are ever held. */
export const readBounded = async (request: Request, maxBytes: number): Promise<string> => {
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge(maxBytes);
  if (!request.body) return '';
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of request.body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
};
