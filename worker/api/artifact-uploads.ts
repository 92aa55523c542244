import { artifactUploadRoutes } from '../contract/artifact-uploads.ts';
import { parseArtifactPath } from '../core/artifacts/artifact-path.ts';
import { abortUpload } from '../core/uploads/abort-upload.ts';
import { completeUpload } from '../core/uploads/complete-upload.ts';
import { createUpload } from '../core/uploads/create-upload.ts';
import { createUploadUrls } from '../core/uploads/create-upload-urls.ts';
import { getUpload, type UploadState } from '../core/uploads/get-upload.ts';
import { writePart, type WrittenPart } from '../core/uploads/write-part.ts';
import { lasting } from '../core/lasting.ts';
import type { App } from './app-env.ts';
import { viewArtifact } from './artifact-view.ts';
import { contextOf } from './context.ts';
import { preconditionOf } from './precondition.ts';
import { contentOf } from './request-bytes.ts';
import { timestampOf } from './timestamp.ts';

const viewPart = ({ part, sizeBytes, digest }: WrittenPart) => ({ part, sizeBytes, sha256: digest });

const viewUpload = ({ upload, parts }: UploadState) => ({
  uploadId: upload.id,
  path: upload.path + upload.name,
  way: upload.way,
  state: upload.artifactId === null ? ('open' as const) : ('completed' as const),
  partBytes: upload.partBytes,
  parts: parts.map(viewPart),
  createdAt: timestampOf(upload.createdAtMs),
  expiresAt: timestampOf(upload.expiresAtMs),
});

export const registerArtifactUploads = (app: App): void => {
  app.openapi(artifactUploadRoutes.create, async (c) => {
    const { path, way, partBytes, contentType, metadata } = c.req.valid('json');
    const input = { ...parseArtifactPath(path), way, partBytes, contentType, metadata };
    const upload = await createUpload(contextOf(c), c.req.valid('param').diskId, input);
    return c.json(viewUpload({ upload, parts: [] }), 201);
  });

  app.openapi(artifactUploadRoutes.get, async (c) => {
    const { diskId, uploadId } = c.req.valid('param');
    return c.json(viewUpload(await getUpload(contextOf(c), diskId, uploadId)), 200);
  });

  app.openapi(artifactUploadRoutes.writePart, async (c) => {
    const { diskId, uploadId, part } = c.req.valid('param');
    const input = { part, ...contentOf(c) };
    const ctx = contextOf(c);
    return c.json(viewPart(await lasting(ctx, writePart(ctx, diskId, uploadId, input))), 200);
  });

  app.openapi(artifactUploadRoutes.createUrls, async (c) => {
    const { diskId, uploadId } = c.req.valid('param');
    const { parts, expiresInSeconds: expiresSeconds } = c.req.valid('json');
    const made = await createUploadUrls(contextOf(c), diskId, uploadId, { parts, expiresSeconds });
    return c.json({ urls: made.urls, expiresAt: timestampOf(made.expiresAtMs) }, 200);
  });

  app.openapi(artifactUploadRoutes.complete, async (c) => {
    const { diskId, uploadId } = c.req.valid('param');
    const precondition = preconditionOf(c.req.valid('header'));
    const { parts } = c.req.valid('json');
    const ctx = contextOf(c);
    const artifact = await lasting(ctx, completeUpload(ctx, diskId, uploadId, { parts, precondition }));
    return c.json(viewArtifact(artifact), 200);
  });

  app.openapi(artifactUploadRoutes.abort, async (c) => {
    const { diskId, uploadId } = c.req.valid('param');
    await abortUpload(contextOf(c), diskId, uploadId);
    return c.body(null, 204);
  });
};
