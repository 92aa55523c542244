import { contentOf } from '../../api/request-bytes.ts';
import { commitArtifacts } from '../../core/artifacts/commit-artifacts.ts';
import { sniffContentType } from '../../core/artifacts/content-type.ts';
import { stageBytes, unstage, type StagedBlob } from '../../core/artifacts/stage-bytes.ts';
import { ServiceError } from '../../core/errors.ts';
import { multipartBounds, readMultipart, readText } from '../../core/formats/multipart.ts';
import type { Context } from '../../core/ports.ts';
import { uploadPlace } from './artifact-paths.ts';
import type { Artifact } from './artifact-view.ts';
import { parseMeta } from './meta.ts';
import type { Handled } from './route.ts';

/** Acontext's own bound on what one form brings. */
const fileMaxBytes = 16 * 1024 * 1024;
const largerFiles = '; larger files come by upload_from_sandbox or the native API';

interface Form {
  filePath: string;
  meta: string;
  file: { filename: string; blob: StagedBlob } | undefined;
}

/** The form of an upsert, in any order of its parts; its file is staged while it is read. Nothing stays staged when this throws. */
const readForm = async (c: Handled, ctx: Context): Promise<Form> => {
  const form: Form = { filePath: '', meta: '', file: undefined };
  const bounds = { ...multipartBounds, fileBytesMax: fileMaxBytes, largerFiles, duplicateNames: 'refused' as const };
  try {
    const { content: body } = contentOf(c);
    for await (const part of readMultipart(c.req.header('content-type'), body, bounds)) {
      if (part.name === 'file_path') form.filePath = await readText(part, multipartBounds.fieldBytesMax);
      if (part.name === 'meta') form.meta = await readText(part, multipartBounds.fieldBytesMax);
      if (part.name !== 'file' || part.filename === undefined) continue;
      form.file = { filename: part.filename, blob: await stageBytes(ctx, part.body, null, fileMaxBytes) };
    }
    return form;
  } catch (error) {
    if (form.file) unstage(ctx, [form.file.blob.blobId]);
    throw error;
  }
};

/** As filepath.Base: what stands after the last slash. */
const baseName = (filename: string): string => filename.slice(filename.lastIndexOf('/') + 1);

/** Writes the form's file to the disk. The content's type is told from the content: the SDKs send one that says nothing. */
export const putForm = async (c: Handled, ctx: Context, diskId: string): Promise<Artifact> => {
  const { filePath, meta, file } = await readForm(c, ctx);
  if (file === undefined) throw new ServiceError('invalid_argument', 'file is required');
  const { filename, blob } = file;
  try {
    const place = uploadPlace(filePath, baseName(filename));
    const contentType = sniffContentType(blob.head, place.name);
    const metadata = meta === '' ? {} : parseMeta(meta);
    const [artifact] = await commitArtifacts(ctx, diskId, [{ ...place, blob, contentType }], { metadata });
    if (!artifact) throw new Error('a commit of one artifact answered none');
    return artifact;
  } catch (error) {
    // A refusal. Where the database did not answer the bytes may be referred to by now.
    if (error instanceof ServiceError && error.status < 500) unstage(ctx, [blob.blobId]);
    throw error;
  }
};
