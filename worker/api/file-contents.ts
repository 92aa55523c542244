import { fileContentRoutes } from '../contract/file-contents.ts';
import { ServiceError } from '../core/errors.ts';
import { metadataOfHeaders } from '../core/files/file-metadata.ts';
import type { Broker, Context, SandboxRef } from '../core/ports.ts';
import type { App } from './app-env.ts';
import { parseRange, type ByteRange } from './byte-range.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { entryView, etagOf } from './file-view.ts';
import { bodyOf } from './request-bytes.ts';
import { answerBytes, contentHeaders } from './response-bytes.ts';
import { timestampOf } from './timestamp.ts';

type FileInfo = Awaited<ReturnType<Broker['readFile']>>['head']['entry'];

/** One file of one sandbox, on whose behalf and for which call. */
interface Target {
  ctx: Context;
  ref: SandboxRef;
  file: { path: string; user: string; privileged?: boolean };
}

export const registerFileContents = (app: App): void => {
  app.openapi(fileContentRoutes.read, async (c) => {
    const ctx = contextOf(c);
    const target = { ctx, ref: sandboxRefOf(c, ctx), file: c.req.valid('query') };
    if (c.req.method === 'HEAD') return headersOnly(await statFile(target));
    const { range, 'if-range': ifRange } = c.req.valid('header');
    const wanted = parseRange(range);
    if (wanted === undefined || !(await isStill(target, ifRange))) return wholeFile(target);
    try {
      return await partOfFile(target, wanted);
    } catch (error) {
      // RFC 9110 section 15.5.17: told with the file's size.
      if (isOutside(error)) c.header('content-range', `bytes */${(await statFile(target)).sizeBytes}`);
      throw error;
    }
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

const wholeFile = async ({ ctx, ref, file }: Target): Promise<Response> => {
  const { head, body } = await ctx.broker.readFile(ref, { kind: 'file', ...file });
  return answerBytes(ctx, body, head.contentBytes, 200, fileHeaders(head.entry));
};

const partOfFile = async ({ ctx, ref, file }: Target, range: ByteRange | 'unsatisfiable'): Promise<Response> => {
  if (range === 'unsatisfiable') throw new ServiceError('range_not_satisfiable', 'A range has at least one byte.');
  const { head, body } = await ctx.broker.readFile(ref, { kind: 'file', ...file, ...range });
  const { contentBytes = 0, rangeStart = 0, entry } = head;
  const contentRange = `bytes ${rangeStart}-${rangeStart + contentBytes - 1}/${entry.sizeBytes}`;
  return answerBytes(ctx, body, contentBytes, 206, { ...fileHeaders(entry), 'content-range': contentRange });
};

const statFile = ({ ctx, ref, file }: Target): Promise<FileInfo> =>
  ctx.broker.file(ref, 'stat', { ...file, followSymlinks: true });

/** Whether the file is the one that If-Range means; without it a range holds for whatever is there now. */
const isStill = async (target: Target, ifRange: string | undefined): Promise<boolean> =>
  ifRange === undefined || etagOf(await statFile(target)) === ifRange;

const isOutside = (error: unknown): boolean => error instanceof ServiceError && error.code === 'range_not_satisfiable';

const fileHeaders = (entry: FileInfo): Record<string, string> => ({
  ...contentHeaders('application/octet-stream', entry.name),
  'accept-ranges': 'bytes',
  etag: etagOf(entry),
  'last-modified': new Date(timestampOf(entry.modifiedAtMs)).toUTCString(),
});

const headersOnly = (entry: FileInfo): Response => {
  if (entry.kind !== 'file') throw new ServiceError('not_a_file', 'The path is not a regular file.');
  return new Response(null, { headers: { ...fileHeaders(entry), 'content-length': String(entry.sizeBytes) } });
};
