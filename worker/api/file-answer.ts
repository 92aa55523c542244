import { ServiceError } from '../core/errors.ts';
import type { Broker, Context, SandboxRef } from '../core/ports.ts';
import type { Context as HonoContext } from 'hono';
import type { AppEnv } from './app-env.ts';
import { parseRange, type ByteRange } from './byte-range.ts';
import { etagOf } from './file-view.ts';
import { answerBytes } from './response-bytes.ts';
import { timestampOf } from './timestamp.ts';

export type FileInfo = Awaited<ReturnType<Broker['readFile']>>['head']['entry'];

/** One file of one sandbox, on whose behalf and for which call. */
export interface FileTarget {
  ctx: Context;
  ref: SandboxRef;
  file: { path: string; user: string; privileged?: boolean };
}

/** What a surface says of a file beside what the answer needs. */
type Headers = (entry: FileInfo) => Record<string, string>;

/** A GET of a file: whole, or the part that Range and If-Range (RFC 9110, sections 13.1.5 and 14.2) ask for. */
export const answerFile = async (c: HonoContext<AppEnv>, target: FileTarget, headers: Headers): Promise<Response> => {
  const wanted = parseRange(c.req.header('range'));
  if (wanted === undefined || !(await isStill(target, c.req.header('if-range')))) return wholeFile(target, headers);
  try {
    return await partOfFile(target, wanted, headers);
  } catch (error) {
    // RFC 9110 section 15.5.17: told with the file's size.
    if (isOutside(error)) c.header('content-range', `bytes */${(await statFile(target)).sizeBytes}`);
    throw error;
  }
};

export const statFile = ({ ctx, ref, file }: FileTarget): Promise<FileInfo> =>
  ctx.broker.file(ref, 'stat', { ...file, followSymlinks: true });

/** Of every answer about a file. */
export const validatorsOf = (entry: FileInfo): Record<string, string> => ({
  'accept-ranges': 'bytes',
  etag: etagOf(entry),
  'last-modified': modifiedText(entry),
});

const modifiedText = (entry: FileInfo): string => new Date(timestampOf(entry.modifiedAtMs)).toUTCString();

const wholeFile = async ({ ctx, ref, file }: FileTarget, headers: Headers): Promise<Response> => {
  const { head, body } = await ctx.broker.readFile(ref, { kind: 'file', ...file });
  return answerBytes(ctx, body, head.contentBytes, 200, { ...validatorsOf(head.entry), ...headers(head.entry) });
};

const partOfFile = async (
  { ctx, ref, file }: FileTarget,
  range: ByteRange | 'unsatisfiable',
  headers: Headers,
): Promise<Response> => {
  if (range === 'unsatisfiable') throw new ServiceError('range_not_satisfiable', 'A range has at least one byte.');
  const { head, body } = await ctx.broker.readFile(ref, { kind: 'file', ...file, ...range });
  const { contentBytes = 0, rangeStart = 0, entry } = head;
  return answerBytes(ctx, body, contentBytes, 206, {
    ...validatorsOf(entry),
    ...headers(entry),
    'content-range': `bytes ${rangeStart}-${rangeStart + contentBytes - 1}/${entry.sizeBytes}`,
  });
};

/** Whether the file is the one that If-Range means; without it a range holds for whatever is there now. */
const isStill = async (target: FileTarget, ifRange: string | undefined): Promise<boolean> => {
  if (ifRange === undefined) return true;
  const entry = await statFile(target);
  return ifRange === etagOf(entry) || ifRange === modifiedText(entry);
};

const isOutside = (error: unknown): boolean => error instanceof ServiceError && error.code === 'range_not_satisfiable';
