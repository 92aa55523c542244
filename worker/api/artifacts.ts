import * as routes from '../contract/artifacts.ts';
import { parseArtifactPath, parseDirectoryPath } from '../core/artifacts/artifact-path.ts';
import { changeArtifact } from '../core/artifacts/change-artifact.ts';
import { copyArtifacts } from '../core/artifacts/copy-artifacts.ts';
import { getArtifact } from '../core/artifacts/get-artifact.ts';
import { listDirectory } from '../core/artifacts/list-directory.ts';
import { moveArtifacts } from '../core/artifacts/move-artifacts.ts';
import type { Precondition } from '../core/artifacts/precondition.ts';
import { removeArtifact, removeDirectory } from '../core/artifacts/remove-artifacts.ts';
import { ServiceError } from '../core/errors.ts';
import type { Context } from '../core/ports.ts';
import type { App } from './app-env.ts';
import { etagOf, viewArtifact } from './artifact-view.ts';
import { contextOf } from './context.ts';
import { preconditionOf } from './precondition.ts';

export const registerArtifacts = (app: App): void => {
  app.openapi(routes.listDirectoryRoute, async (c) => {
    const { path, cursor, limit } = c.req.valid('query');
    const { diskId } = c.req.valid('param');
    const page = await listDirectory(contextOf(c), diskId, parseDirectoryPath(path), { cursor, limit });
    return c.json({ ...page, artifacts: page.artifacts.map(viewArtifact) }, 200);
  });

  app.openapi(routes.statArtifactRoute, async (c) => {
    const place = parseArtifactPath(c.req.valid('query').path);
    return c.json(viewArtifact(await getArtifact(contextOf(c), c.req.valid('param').diskId, place)), 200);
  });

  app.openapi(routes.changeArtifactRoute, async (c) => {
    const place = parseArtifactPath(c.req.valid('query').path);
    const precondition = preconditionOf(c.req.valid('header'));
    const change = { ...c.req.valid('json'), precondition };
    const artifact = await changeArtifact(contextOf(c), c.req.valid('param').diskId, place, change);
    c.header('etag', etagOf(artifact));
    return c.json(viewArtifact(artifact), 200);
  });

  app.openapi(routes.removeArtifactsRoute, async (c) => {
    const precondition = preconditionOf(c.req.valid('header'));
    const removal = { ...c.req.valid('query'), precondition };
    return c.json({ artifactsCount: await remove(contextOf(c), c.req.valid('param').diskId, removal) }, 200);
  });

  app.openapi(routes.moveArtifactsRoute, async (c) => {
    const { diskId } = c.req.valid('param');
    return c.json({ artifactsCount: await moveArtifacts(contextOf(c), diskId, c.req.valid('json')) }, 200);
  });

  app.openapi(routes.copyArtifactsRoute, async (c) => {
    const { diskId } = c.req.valid('param');
    return c.json({ artifactsCount: await copyArtifacts(contextOf(c), diskId, c.req.valid('json')) }, 200);
  });
};

const remove = async (
  ctx: Context,
  diskId: string,
  { path, recursive, precondition }: { path: string; recursive: boolean; precondition: Precondition | undefined },
): Promise<number> => {
  if (!path.endsWith('/')) {
    await removeArtifact(ctx, diskId, parseArtifactPath(path), precondition);
    return 1;
  }
  if (!recursive) throw new ServiceError('invalid_argument', 'A directory is removed with recursive=true.');
  if (precondition) throw new ServiceError('invalid_argument', 'If-Match is for an artifact: a directory has no ETag.');
  return removeDirectory(ctx, diskId, parseDirectoryPath(path));
};
