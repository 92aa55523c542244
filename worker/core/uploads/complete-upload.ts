import { toHex } from '../hex.ts';
import { eq } from 'drizzle-orm';
import { artifacts, type Artifact, type Upload } from '../../../db/directory.ts';
import { blobKey } from '../artifacts/blob-key.ts';
import { commitArtifacts, type CommittedArtifact } from '../artifacts/commit-artifacts.ts';
import { contentTypeHeadBytes, sniffContentType } from '../artifacts/content-type.ts';
import { checkPrecondition, type Precondition } from '../artifacts/precondition.ts';
import { ServiceError } from '../errors.ts';
import { chunksOf } from '../formats/byte-source.ts';
import type { Context } from '../ports.ts';
import { endUpload } from './end-upload.ts';
import { findUpload, uploadNotFound } from './find-upload.ts';
import { listClaims, listParts } from './get-upload.ts';
import type { WrittenPart } from './write-part.ts';

export interface CompleteUpload {
  /** How many there are; of a direct upload each one with the ETag that the store answered. */
  parts: number | readonly { part: number; etag: string }[];
  precondition?: Precondition | undefined;
}

interface Whole {
  parts: readonly { part: number; etag: string }[];
  digest: string | null;
}

/**
 * Makes the parts one artifact: it is there whole, or what was there before is. Asked again after a lost answer it gives the artifact as it is
 * now. Throws not_found (also for an artifact that was removed since), conflict (a part is missing or of another size), precondition_failed and
 * unavailable (the upload stays), quota_exceeded (direct: the upload is over).
 */
export const completeUpload = async (
  ctx: Context,
  diskId: string,
  uploadId: string,
  input: CompleteUpload,
): Promise<CommittedArtifact> => {
  const upload = await findUpload(ctx, diskId, uploadId);
  if (upload.artifactId !== null) return completed(ctx, upload.artifactId);
  if (input.precondition) await checkPrecondition(ctx, diskId, upload, input.precondition);
  const { parts, digest } =
    upload.way === 'direct' ? await toldParts(ctx, upload, input.parts) : await storedParts(ctx, upload, input.parts);
  const { sizeBytes, head } = await join(ctx, upload, parts);
  const blob = { blobId: upload.blobId, digest, sizeBytes, head };
  const contentType = upload.contentType ?? sniffContentType(head, upload.name);
  try {
    const [artifact] = await commitArtifacts(
      ctx,
      diskId,
      [{ path: upload.path, name: upload.name, blob, contentType }],
      {
        metadata: upload.metadata ?? undefined,
        precondition: input.precondition,
        uploadId,
      },
    );
    if (!artifact) throw new Error('a commit of one artifact answered none');
    return artifact;
  } catch (error) {
    return await settleRefusal(ctx, upload, error);
  }
};

/** The commit was refused because another complete was first, or an abort; else for the reason it gives. */
const settleRefusal = async (ctx: Context, upload: Upload, error: unknown): Promise<CommittedArtifact> => {
  if (!(error instanceof ServiceError)) throw error;
  const { artifactId } = await findUpload(ctx, upload.diskId, upload.id);
  if (artifactId !== null) return completed(ctx, artifactId);
  if (error.code === 'quota_exceeded') await endUpload(ctx, upload);
  throw error;
};

const completed = async (ctx: Context, artifactId: string): Promise<CommittedArtifact> => {
  const [artifact]: Artifact[] = await ctx.directory
    .select()
    .from(artifacts)
    .where(eq(artifacts.id, artifactId))
    .limit(1);
  if (artifact) return { ...artifact, created: false };
  throw new ServiceError('not_found', 'This upload was completed, and its artifact removed since.');
};

const toldParts = async (ctx: Context, upload: Upload, parts: CompleteUpload['parts']): Promise<Whole> => {
  if (typeof parts === 'number') {
    throw new ServiceError(
      'invalid_argument',
      'Of a direct upload, parts is a list of {part, etag}, as the store answered them.',
    );
  }
  const sorted = [...parts].sort((a, b) => a.part - b.part);
  const twice = sorted.find(({ part }, index) => part === sorted[index - 1]?.part);
  if (twice) throw new ServiceError('invalid_argument', `Part ${twice.part} is given twice.`);
  const claimed = new Set(await listClaims(ctx, upload.id));
  const unclaimed = sorted.find(({ part }) => !claimed.has(part));
  if (unclaimed) {
    throw new ServiceError('conflict', `Part ${unclaimed.part} has had no URL: ask POST …/urls for one, and send it.`);
  }
  return { parts: sorted.map(({ part, etag }) => ({ part, etag: etag.replaceAll('"', '') })), digest: null };
};

const storedParts = async (ctx: Context, upload: Upload, count: CompleteUpload['parts']): Promise<Whole> => {
  if (typeof count !== 'number') {
    throw new ServiceError('invalid_argument', 'parts is how many there are.');
  }
  const stored = await listParts(ctx, upload.id);
  const beyond = stored.find(({ part }) => part > count);
  // A wrong count would cut the artifact short, and nobody would be told.
  if (beyond) throw new ServiceError('conflict', `Part ${beyond.part} was written, too, and parts is ${count}.`);
  const missing = stored.findIndex(({ part }, index) => part !== index + 1);
  if (missing !== -1 || stored.length < count) {
    const part = missing === -1 ? stored.length + 1 : missing + 1;
    throw new ServiceError('conflict', `Part ${part} is missing: write it, or say how many parts there are.`);
  }
  const odd = stored.slice(0, -1).find(({ sizeBytes }) => sizeBytes !== upload.partBytes);
  if (odd) {
    throw new ServiceError(
      'conflict',
      `Part ${odd.part} has ${odd.sizeBytes} bytes; each part but the last has ${upload.partBytes}.`,
    );
  }
  return { parts: stored, digest: await digestOf(stored, upload.partBytes) };
};

/**
 * Of the parts' digests, so that equal content in equal parts is stored once; nothing that was stored has to be read for it. A single part's
 * own is that of the whole.
 */
const digestOf = async (parts: readonly WrittenPart[], partBytes: number): Promise<string> => {
  const [first] = parts;
  if (first && parts.length === 1) return `sha256:${first.digest}`;
  const hash = await crypto.subtle.digest(
    'SHA-256',
    new TextEncoder().encode(parts.map(({ digest }) => digest).join('')),
  );
  const hex = toHex(new Uint8Array(hash));
  return `sha256-${partBytes}:${hex}-${parts.length}`;
};

/** One object of the parts. Asked again, when its answer was lost or the commit refused, it finds the object that there is. */
const join = async (
  ctx: Context,
  upload: Upload,
  parts: Whole['parts'],
): Promise<{ sizeBytes: number; head: Uint8Array }> => {
  const key = blobKey(upload.tenantId, upload.blobId);
  try {
    await ctx.objects.completeMultipart(key, upload.multipartId, parts);
  } catch (error) {
    const object = await look(ctx, key);
    if (!object) throw error;
    return object;
  }
  const object = await look(ctx, key);
  if (!object) throw uploadNotFound(upload.id);
  return object;
};

/** What there is under a key, and how it begins. */
const look = async (ctx: Context, key: string): Promise<{ sizeBytes: number; head: Uint8Array } | undefined> => {
  const object = await ctx.objects.get(key);
  if (!object) return undefined;
  const head = new Uint8Array(Math.min(contentTypeHeadBytes, object.sizeBytes));
  let filled = 0;
  for await (const chunk of chunksOf(object.body)) {
    const taken = chunk.subarray(0, head.byteLength - filled);
    head.set(taken, filled);
    filled += taken.byteLength;
    if (filled === head.byteLength) break;
  }
  return { sizeBytes: object.sizeBytes, head };
};
