import type { Context as HonoContext } from 'hono';
import { fileContentRoutes } from '../contract/file-contents.ts';
import { ServiceError } from '../core/errors.ts';
import type { Broker, Context, SandboxRef } from '../core/ports.ts';
import type { App, AppEnv } from './app-env.ts';
import { parseRange } from './byte-range.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { entryView, etagOf } from './file-view.ts';
import { bodyOf } from './request-bytes.ts';
import { contentHeaders, answerBytes } from './response-bytes.ts';

type FileInfo = Awaited<ReturnType<Broker['readFile']>>['head']['entry'];
interface Target {
  path: string;
  user: string;
}

export const registerFileContents = (app: App): void => {
  app.openapi(fileContentRoutes.read, async (c) => {
    const ctx = contextOf(c);
    const ref = sandboxRefOf(c, ctx);
    const target = c.req.valid('query');
    if (c.req.method === 'HEAD') return headOf(await statFile(ctx, ref, target));
    const { range, 'if-range': ifRange } = c.req.valid('header');
    const wanted = range !== undefined && (await stillThat(ctx, ref, target, ifRange)) ? parseRange(range) : undefined;
    if (wanted === undefined) {
      const { head, body } = await ctx.broker.readFile(ref, { kind: 'file', ...target });
      return answerBytes(ctx, body, head.contentBytes, 200, fileHeaders(head.entry));
    }
    const { head, body } = await satisfiable(c, ctx, ref, target, async () => {
      if (wanted === 'unsatisfiable') throw new ServiceError('range_not_satisfiable', 'A range has at least one byte.');
      return ctx.broker.readFile(ref, { kind: 'file', ...target, ...wanted });
    });
    const start = head.rangeStart ?? 0;
    const bytes = head.contentBytes ?? 0;
    return answerBytes(ctx, body, bytes, 206, {
      ...fileHeaders(head.entry),
      'content-range': `bytes ${start}-${start + bytes - 1}/${head.entry.sizeBytes}`,
    });
  });

  app.openapi(fileContentRoutes.write, async (c) => {
    const ctx = contextOf(c);
    const { mode, ...target } = c.req.valid('query');
    const write = { kind: 'file' as const, ...target, ...(mode === undefined ? {} : { mode }) };
    const { body, contentBytes } = bodyOf(c);
    const ref = sandboxRefOf(c, ctx);
    const { entry, writtenBytes } = await ctx.broker.writeFile(ref, write, body, contentBytes);
    if (entry === undefined) throw new ServiceError('internal', 'The file was written, but its entry is not known.');
    return c.json({ entry: entryView(entry), writtenBytes }, 200);
  });
};

const statFile = (ctx: Context, ref: SandboxRef, target: Target): Promise<FileInfo> =>
  ctx.broker.file(ref, 'stat', { ...target, followSymlinks: true });

/** Without If-Range a range holds for whatever is there now. */
const stillThat = async (ctx: Context, ref: SandboxRef, target: Target, ifRange: string | undefined) =>
  ifRange === undefined || etagOf(await statFile(ctx, ref, target)) === ifRange;

/** A range outside of the file is answered with the file's size (RFC 9110 section 15.5.17). */
const satisfiable = async <T>(
  c: HonoContext<AppEnv>,
  ctx: Context,
  ref: SandboxRef,
  target: Target,
  read: () => Promise<T>,
): Promise<T> => {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'range_not_satisfiable') {
      const { sizeBytes } = await statFile(ctx, ref, target);
      c.header('content-range', `bytes */${sizeBytes}`);
    }
    throw error;
  }
};

const fileHeaders = (entry: FileInfo): Record<string, string> => ({
  ...contentHeaders('application/octet-stream', entry.name),
  'accept-ranges': 'bytes',
  etag: etagOf(entry),
  'last-modified': new Date(entry.modifiedAtMs).toUTCString(),
});

const headOf = (entry: FileInfo): Response => {
  if (entry.kind !== 'file') throw new ServiceError('not_a_file', 'The path is not a regular file.');
  return new Response(null, { headers: { ...fileHeaders(entry), 'content-length': String(entry.sizeBytes) } });
};
