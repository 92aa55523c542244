import type { z } from '@hono/zod-openapi';
import { ConnectError } from './failure.ts';

/** A command's arguments and environment, JSON-escaped, and stdin in base64. */
const messageMaxBytes = 4 * 1024 * 1024;

/** The whole body, bounded. */
export const readMessage = async (request: Request): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    bytes += value.byteLength;
    if (bytes > messageMaxBytes) {
      await reader?.cancel();
      throw new ConnectError('resource_exhausted', `a message has at most ${messageMaxBytes} bytes`);
    }
    chunks.push(value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
};

/** Throws invalid_argument with the field and what is wrong with it. */
export const messageOf = <S extends z.ZodType>(schema: S, bytes: Uint8Array): z.output<S> => {
  let json: unknown;
  try {
    json = bytes.byteLength === 0 ? {} : JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new ConnectError('invalid_argument', 'the message is not JSON');
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ConnectError(
    'invalid_argument',
    `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
  );
};
