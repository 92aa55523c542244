import type { z } from '@hono/zod-openapi';
import { concatBytes } from '../../../../core/concat-bytes.ts';
import { discardBody } from '../../../../middleware/discard-body.ts';
import { tooLong } from './envelope.ts';
import { ConnectError } from './failure.ts';

/** Of a request: a command's arguments and environment, JSON-escaped, or 3 MB of stdin in base64. */
export const messageMaxBytes = 4 * 1024 * 1024;

/** The whole body, however it was cut on its way; one that is too long is not held. */
export const readBody = async (request: Request): Promise<Uint8Array> => {
  const announced = Number(request.headers.get('content-length') ?? Number.NaN);
  if (announced > messageMaxBytes) {
    if (request.body) await discardBody(request.body.getReader());
    throw tooLong(messageMaxBytes);
  }
  // HTTP holds the body to the length that was announced.
  if (announced >= 0) return new Uint8Array(await request.arrayBuffer());
  return request.body ? collect(request.body) : new Uint8Array();
};

const collect = async (body: ReadableStream<Uint8Array>): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > messageMaxBytes) {
      await discardBody(reader);
      throw tooLong(messageMaxBytes);
    }
    chunks.push(value);
  }
  const [first] = chunks;
  return first && chunks.length === 1 ? first : concatBytes(chunks);
};

/** Compression is negotiated by these; nobody but identity is spoken here. */
export const refuseCompression = (request: Request): void => {
  for (const name of ['content-encoding', 'connect-content-encoding']) {
    const encoding = request.headers.get(name) ?? 'identity';
    if (encoding === 'identity' || encoding === '') continue;
    throw new ConnectError('unimplemented', `unknown compression "${encoding.slice(0, 64)}": send identity`);
  }
};

/** Throws invalid_argument with the field and what is wrong with it. */
export const messageOf = <S extends z.ZodType>(schema: S, bytes: Uint8Array): z.output<S> => {
  const parsed = schema.safeParse(parseJson(bytes));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path.map(String).join('.') ?? '';
  throw new ConnectError('invalid_argument', `${path === '' ? '' : `${path}: `}${issue?.message ?? 'invalid'}`);
};

const decoder = new TextDecoder();

/** As protobuf's JSON mapping has it, null is as good as absent, and so is an empty body. */
const parseJson = (bytes: Uint8Array): unknown => {
  const text = decoder.decode(bytes);
  if (text === '') return {};
  try {
    return text.includes('null') ? JSON.parse(text, withoutNull) : JSON.parse(text);
  } catch {
    throw new ConnectError('invalid_argument', 'the message is not JSON');
  }
};

const withoutNull = (_name: string, value: unknown): unknown => (value === null ? undefined : value);
