import { fileContentRoutes } from '../contract/file-contents.ts';
import { ServiceError } from '../core/errors.ts';
import { metadataOfHeaders } from '../core/files/file-metadata.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { answerFile, statFile, validatorsOf, type FileInfo } from './file-answer.ts';
import { entryView } from './file-view.ts';
import { bodyOf } from './request-bytes.ts';
import { contentHeaders } from './response-bytes.ts';

export const registerFileContents = (app: App): void => {
  app.openapi(fileContentRoutes.read, async (c) => {
    const ctx = contextOf(c);
    const target = { ctx, ref: sandboxRefOf(c, ctx), file: c.req.valid('query') };
    if (c.req.method === 'HEAD') return headersOnly(await statFile(target));
    return answerFile(c, target, fileHeaders);
  });

  app.openapi(fileContentRoutes.write, async (c) => {
    const ctx = contextOf(c);
    const { mode, ...file } = c.req.valid('query');
    const metadata = metadataOfHeaders(c.req.raw.headers);
    const write = { kind: 'file' as const, ...file, metadata, ...(mode === undefined ? {} : { mode }) };
    const { body, contentBytes } = bodyOf(c);
    const { entry, writtenBytes } = await ctx.broker.writeFile(sandboxRefOf(c, ctx), write, body, contentBytes);
    if (entry === undefined) throw new ServiceError('internal', 'The file was written, but its entry is not known.');
    return c.json({ entry: entryView(entry), writtenBytes }, 200);
  });
};

const fileHeaders = (entry: FileInfo): Record<string, string> => contentHeaders('application/octet-stream', entry.name);

const headersOnly = (entry: FileInfo): Response => {
  if (entry.kind !== 'file') throw new ServiceError('not_a_file', 'The path is not a regular file.');
  const headers = { ...validatorsOf(entry), ...fileHeaders(entry), 'content-length': String(entry.sizeBytes) };
  return new Response(null, { headers });
};
