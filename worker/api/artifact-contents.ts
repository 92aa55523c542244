import { artifactContentRoutes } from '../contract/artifact-contents.ts';
import { mediaType } from '../contract/artifacts.ts';
import { metadataInput } from '../contract/disks.ts';
import { parseArtifactPath } from '../core/artifacts/artifact-path.ts';
import { essenceOf } from '../core/artifacts/content-type.ts';
import { getArtifact } from '../core/artifacts/get-artifact.ts';
import { putArtifact } from '../core/artifacts/put-artifact.ts';
import { ServiceError } from '../core/errors.ts';
import { lasting } from '../core/lasting.ts';
import type { App } from './app-env.ts';
import { answerArtifact } from './artifact-bytes.ts';
import { etagOf, viewArtifact } from './artifact-view.ts';
import { contextOf } from './context.ts';
import { preconditionOf } from './precondition.ts';
import { contentOf } from './request-bytes.ts';
import { timestampOf } from './timestamp.ts';

export const registerArtifactContents = (app: App): void => {
  app.openapi(artifactContentRoutes.read, async (c) => {
    const ctx = contextOf(c);
    const place = parseArtifactPath(c.req.valid('query').path);
    const artifact = await getArtifact(ctx, c.req.valid('param').diskId, place);
    const lastModified = new Date(timestampOf(artifact.updatedAtMs)).toUTCString();
    return answerArtifact(c, ctx, ctx.actor.tenant.id, artifact, { 'last-modified': lastModified });
  });

  app.openapi(artifactContentRoutes.write, async (c) => {
    const headers = c.req.valid('header');
    const ctx = contextOf(c);
    const written = putArtifact(ctx, c.req.valid('param').diskId, {
      ...parseArtifactPath(c.req.valid('query').path),
      ...contentOf(c),
      contentType: toldType(c.req.header('content-type')),
      metadata: metadataOf(headers['x-metadata']),
      precondition: preconditionOf(headers),
    });
    const artifact = await lasting(ctx, written);
    c.header('etag', etagOf(artifact));
    return artifact.created ? c.json(viewArtifact(artifact), 201) : c.json(viewArtifact(artifact), 200);
  });
};

/** What clients send when they know nothing of the content: the second is what curl says of any body. */
const sayNothing = ['', 'application/octet-stream', 'application/x-www-form-urlencoded'];
const typeMaxCharacters = 255;

const toldType = (header: string | undefined): string | undefined => {
  const type = (header ?? '').trim();
  const isTold = type.length <= typeMaxCharacters && !sayNothing.includes(essenceOf(type));
  return isTold && mediaType.test(type) ? type : undefined;
};

const metadataOf = (header: string | undefined): Record<string, unknown> | undefined => {
  if (header === undefined) return undefined;
  const metadata = metadataInput.safeParse(parse(header));
  if (metadata.success) return metadata.data;
  throw new ServiceError('invalid_argument', 'x-metadata is a JSON object.');
};

/** Undefined, which is no object, for what is not JSON. */
const parse = (json: string): unknown => {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
};
