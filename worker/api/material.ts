import type { Context as HonoContext } from 'hono';
import { artifactUrlRoutes } from '../contract/artifact-urls.ts';
import { getArtifact } from '../core/artifacts/get-artifact.ts';
import { createMaterial, openMaterial } from '../core/artifacts/material.ts';
import { parseArtifactPath } from '../core/artifacts/artifact-path.ts';
import { presignArtifact } from '../core/artifacts/presign-artifact.ts';
import type { App, AppEnv } from './app-env.ts';
import { answerArtifact } from './artifact-bytes.ts';
import { adminContextOf, contextOf } from './context.ts';
import { timestampOf } from './timestamp.ts';

/** How old a copy in a browser may be: what lies behind the URL may change meanwhile. */
const copyMaxSeconds = 60;

export const registerMaterial = (app: App): void => {
  app.openapi(artifactUrlRoutes.create, async (c) => {
    const ctx = contextOf(c);
    const { diskId } = c.req.valid('param');
    const { path, expiresInSeconds, direct } = c.req.valid('json');
    const place = parseArtifactPath(path);
    if (direct) {
      const { url, expiresAtMs } = await presignArtifact(ctx, diskId, place, expiresInSeconds);
      return c.json({ url, expiresAt: timestampOf(expiresAtMs) }, 200);
    }
    const artifact = await getArtifact(ctx, diskId, place);
    const { token, expiresAtMs } = await createMaterial(ctx, artifact, expiresInSeconds);
    return c.json({ url: `${ctx.publicUrl}/v1/material/${token}`, expiresAt: timestampOf(expiresAtMs) }, 200);
  });
  app.openapi(artifactUrlRoutes.read, (c) => answerMaterial(c, c.req.valid('param').token));
};

/** Whoever has the token: no key, from any origin, since no cookie or address gives a right here. */
export const answerMaterial = async (c: HonoContext<AppEnv>, token: string): Promise<Response> => {
  const anyOrigin = { 'access-control-allow-origin': '*' };
  c.header('access-control-allow-origin', '*');
  const ctx = adminContextOf(c);
  const { artifact, tenantId, expiresAtMs } = await openMaterial(ctx, token);
  const copySeconds = Math.min(copyMaxSeconds, Math.floor((expiresAtMs - ctx.now()) / 1000));
  return answerArtifact(c, ctx, tenantId, artifact, {
    ...anyOrigin,
    'cache-control': `private, max-age=${copySeconds}, must-revalidate`,
  });
};
