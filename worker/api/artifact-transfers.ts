import { artifactTransferRoutes } from '../contract/artifact-transfers.ts';
import { parseArtifactPath, parseDirectoryPath } from '../core/artifacts/artifact-path.ts';
import { getArtifact } from '../core/artifacts/get-artifact.ts';
import { copyDirectoryFromSandbox } from '../core/transfers/copy-directory-from-sandbox.ts';
import { copyDirectoryToSandbox } from '../core/transfers/copy-directory-to-sandbox.ts';
import { copyFromSandbox } from '../core/transfers/copy-from-sandbox.ts';
import { lasting } from '../core/lasting.ts';
import { copyToSandbox } from '../core/transfers/copy-to-sandbox.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';

export const registerArtifactTransfers = (app: App): void => {
  app.openapi(artifactTransferRoutes.toSandbox, async (c) => {
    const ctx = contextOf(c);
    const { diskId } = c.req.valid('param');
    const { path, ...target } = c.req.valid('json');
    if (path.endsWith('/')) {
      return c.json(await copyDirectoryToSandbox(ctx, { diskId, path: parseDirectoryPath(path) }, target), 200);
    }
    const artifact = await getArtifact(ctx, diskId, parseArtifactPath(path));
    return c.json(await copyToSandbox(ctx, artifact, target), 200);
  });

  app.openapi(artifactTransferRoutes.fromSandbox, async (c) => {
    const ctx = contextOf(c);
    const { path, ...from } = c.req.valid('json');
    const source = { ...from, diskId: c.req.valid('param').diskId };
    if (path.endsWith('/')) {
      const directory = { ...source, path: parseDirectoryPath(path) };
      const { artifacts, skippedCount } = await lasting(ctx, copyDirectoryFromSandbox(ctx, directory));
      const contentBytes = artifacts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      return c.json({ filesCount: artifacts.length, contentBytes, skippedCount }, 200);
    }
    const artifact = await lasting(ctx, copyFromSandbox(ctx, { ...source, ...parseArtifactPath(path) }));
    return c.json({ filesCount: 1, contentBytes: artifact.sizeBytes, skippedCount: 0 }, 200);
  });
};
