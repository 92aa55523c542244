import { contextOf } from '../../../../api/context.ts';
import { bodyOf, contentOf } from '../../../../api/request-bytes.ts';
import { ServiceError } from '../../../../core/errors.ts';
import { metadataOfHeaders } from '../../../../core/files/file-metadata.ts';
import { chunksOf } from '../../../../core/formats/byte-source.ts';
import { CodecError, gunzipped } from '../../../../core/formats/deflate.ts';
import { readMultipart, type Part } from '../../../../core/formats/multipart.ts';
import { sandboxRefOf } from '../../../../core/sandboxes/sandbox-ref.ts';
import { expandPath } from '../path.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { queryUser } from '../user.ts';
import { bodyEncoding } from './encoding.ts';
import { renderFileFailure } from './failure.ts';
import { writer, type Writer, type WrittenFile } from './write.ts';

/** One request's files; each is written before the next one is read. */
const uploadBounds = {
  partsMax: 10_000,
  headerBytesMax: 16 * 1024,
  /** The sandbox's disk is the limit. */
  fieldBytesMax: Number.MAX_SAFE_INTEGER,
  fileBytesMax: Number.MAX_SAFE_INTEGER,
  duplicateNames: 'allowed',
} as const;

const upload = async (c: Handled): Promise<Response> => {
  const { sandbox } = c.var;
  if (!sandbox) throw new Error('envd was reached without a sandbox');
  try {
    const ctx = contextOf(c);
    const caller = { user: queryUser(c), metadata: metadataOfHeaders(c.req.raw.headers) };
    const write = writer(ctx, sandboxRefOf(ctx, sandbox.sandboxId), caller);
    const type = c.req.header('content-type') ?? '';
    if (/^application\/octet-stream\s*(;|$)/i.test(type)) return c.json([await writeRaw(c, write)]);
    if (/^multipart\//i.test(type)) return c.json(await writeParts(c, type, write));
    throw new ServiceError(
      'invalid_argument',
      `unsupported content type: ${type.slice(0, 100)}, expected multipart/form-data or application/octet-stream`,
    );
  } catch (error) {
    return renderFileFailure(error, c);
  }
};

const writeRaw = (c: Handled, write: Writer): Promise<WrittenFile> => {
  const path = c.req.query('path');
  if (path === undefined) {
    throw new ServiceError('invalid_argument', 'path query parameter is required for raw body upload');
  }
  if (bodyEncoding(c.req.header('content-encoding')) === 'gzip') return write(expandPath(path), decoded(c));
  const { body, contentBytes } = bodyOf(c);
  return write(expandPath(path), body, contentBytes);
};

const writeParts = async (c: Handled, type: string, write: Writer): Promise<WrittenFile[]> => {
  const gzip = bodyEncoding(c.req.header('content-encoding')) === 'gzip';
  const content = gzip ? decoded(c) : contentOf(c).content;
  const written = new Map<string, WrittenFile>();
  for await (const part of readMultipart(type, content, uploadBounds)) {
    if (part.name !== 'file') continue;
    const path = expandPath(pathOf(c, part));
    if (written.has(path)) throw twice(path, [...written.values()]);
    written.set(path, await write(path, part.body));
  }
  return [...written.values()];
};

const pathOf = (c: Handled, part: Part): string => {
  const path = c.req.query('path') ?? part.filename;
  if (path !== undefined) return path;
  throw new ServiceError('invalid_argument', 'a part has no file name, and the query no path');
};

const twice = (path: string, written: readonly WrittenFile[]): ServiceError => {
  const others = written.map((file) => file.path).join(', ');
  const message = `you cannot upload multiple files to the same path '${path}' in one upload request, only the first specified file was uploaded`;
  return new ServiceError('invalid_argument', `${message} (${others.slice(0, 1000)})`);
};

async function* decoded(c: Handled): AsyncGenerator<Uint8Array, void> {
  const { content } = contentOf(c);
  try {
    yield* gunzipped(chunksOf(content));
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    throw new ServiceError('invalid_argument', 'error decompressing request body: it is not gzip, or was cut', {
      cause: error,
    });
  }
}

export const uploadRoute: EnvdRoute = {
  method: 'POST',
  path: '/files',
  access: 'token-or-signature',
  handler: upload,
};
