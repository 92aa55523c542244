import type { Context as HonoContext } from 'hono';
import { attachmentNamed } from '../core/artifacts/content-disposition.ts';
import { readArtifact } from '../core/artifacts/read-artifact.ts';
import { ServiceError } from '../core/errors.ts';
import type { AdminContext } from '../core/ports.ts';
import type { AppEnv } from './app-env.ts';
import { etagOf, type Artifact } from './artifact-view.ts';
import { parseRange } from './byte-range.ts';
import { answerBytes, contentHeaders } from './response-bytes.ts';

interface Target {
  ctx: AdminContext;
  tenantId: string;
  artifact: Artifact;
  headers: Record<string, string>;
}

/**
 * An artifact's bytes, or what RFC 9110 says instead: the headers alone (HEAD), 304 (If-None-Match), one range (Range, If-Range), 416.
 * `more` are headers beside those that describe the content.
 */
export const answerArtifact = async (
  c: HonoContext<AppEnv>,
  ctx: AdminContext,
  tenantId: string,
  artifact: Artifact,
  more: Record<string, string> = {},
): Promise<Response> => {
  const target: Target = { ctx, tenantId, artifact, headers: { ...artifactHeaders(artifact), ...more } };
  const { etag = '' } = target.headers;
  if (names(c.req.header('if-none-match'), etag)) {
    return new Response(null, { status: 304, headers: { ...more, etag } });
  }
  if (c.req.method === 'HEAD') {
    return new Response(null, { headers: { ...target.headers, 'content-length': String(artifact.sizeBytes) } });
  }
  const wanted = parseRange(c.req.header('range'));
  const ifRange = c.req.header('if-range');
  if (wanted === undefined || (ifRange !== undefined && ifRange !== etag)) return whole(target);
  const range = wanted === 'unsatisfiable' ? undefined : within(wanted, artifact.sizeBytes);
  if (range) return part(target, range);
  // RFC 9110 section 15.5.17: told with the size.
  c.header('content-range', `bytes */${artifact.sizeBytes}`);
  throw new ServiceError('range_not_satisfiable', `The artifact has ${artifact.sizeBytes} bytes.`);
};

const artifactHeaders = (artifact: Artifact): Record<string, string> => ({
  ...contentHeaders(artifact.contentType, artifact.name),
  'content-disposition': attachmentNamed(artifact.name),
  'accept-ranges': 'bytes',
  etag: etagOf(artifact),
});

/** If-None-Match compares weakly (RFC 9110 section 13.1.2). */
const names = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  header.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);

const within = (
  { rangeStart, rangeBytes }: { rangeStart: number; rangeBytes?: number },
  sizeBytes: number,
): { offset: number; length: number } | undefined => {
  const offset = rangeStart < 0 ? Math.max(0, sizeBytes + rangeStart) : rangeStart;
  if (offset >= sizeBytes) return undefined;
  return { offset, length: Math.min(rangeBytes ?? sizeBytes, sizeBytes - offset) };
};

const whole = async ({ ctx, tenantId, artifact, headers }: Target): Promise<Response> => {
  const body = await readArtifact(ctx, tenantId, artifact);
  return answerBytes(ctx, body, artifact.sizeBytes, 200, headers);
};

const part = async (
  { ctx, tenantId, artifact, headers }: Target,
  range: { offset: number; length: number },
): Promise<Response> => {
  const body = await readArtifact(ctx, tenantId, artifact, range);
  const contentRange = `bytes ${range.offset}-${range.offset + range.length - 1}/${artifact.sizeBytes}`;
  return answerBytes(ctx, body, range.length, 206, { ...headers, 'content-range': contentRange });
};
