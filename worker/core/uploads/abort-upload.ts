import type { Context } from '../ports.ts';
import { endUpload } from './end-upload.ts';
import { findOpenUpload, uploadNotFound } from './find-upload.ts';

/** Throws not_found, conflict (it was completed). */
export const abortUpload = async (ctx: Context, diskId: string, uploadId: string): Promise<void> => {
  const upload = await findOpenUpload(ctx, diskId, uploadId);
  if (!(await endUpload(ctx, upload))) throw uploadNotFound(uploadId);
};
