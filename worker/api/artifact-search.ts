import { artifactSearchRoutes } from '../contract/artifact-search.ts';
import { parseDirectoryPath } from '../core/artifacts/artifact-path.ts';
import { globArtifacts } from '../core/artifacts/glob-artifacts.ts';
import { grepArtifacts } from '../core/artifacts/grep-artifacts.ts';
import type { App } from './app-env.ts';
import { viewArtifact } from './artifact-view.ts';
import { contextOf } from './context.ts';

export const registerArtifactSearch = (app: App): void => {
  app.openapi(artifactSearchRoutes.glob, async (c) => {
    const { pattern, limit } = c.req.valid('query');
    const { diskId } = c.req.valid('param');
    const artifacts = await globArtifacts(contextOf(c), diskId, pattern, { flavour: 'native', limit });
    return c.json({ artifacts: artifacts.map(viewArtifact) }, 200);
  });

  app.openapi(artifactSearchRoutes.grep, async (c) => {
    const { pattern, path, ...input } = c.req.valid('query');
    const search = { ...input, flavour: 'native' as const, directory: parseDirectoryPath(path) };
    const { matches, ...rest } = await grepArtifacts(contextOf(c), c.req.valid('param').diskId, pattern, search);
    return c.json(
      { matches: matches.map(({ artifact, lines }) => ({ artifact: viewArtifact(artifact), lines })), ...rest },
      200,
    );
  });
};
