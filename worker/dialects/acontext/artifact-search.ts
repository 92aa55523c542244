import { z } from 'zod';
import { contextOf } from '../../api/context.ts';
import { globArtifacts } from '../../core/artifacts/glob-artifacts.ts';
import { grepArtifacts } from '../../core/artifacts/grep-artifacts.ts';
import { viewArtifact } from './artifact-view.ts';
import { succeed } from './envelope.ts';
import { pathId } from './ids.ts';
import { readQuery } from './read-input.ts';
import type { AcontextRoute, Handled } from './route.ts';

const searchQuery = z.object({
  query: z.string().min(1).max(1024),
  limit: z.coerce
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(100)
    .transform((limit) => (limit === 0 ? 100 : limit)),
});

const glob = async (c: Handled): Promise<Response> => {
  const { query, limit } = readQuery(c, searchQuery);
  const artifacts = await globArtifacts(contextOf(c), pathId(c, 'disk_id'), query, { flavour: 'acontext', limit });
  return succeed(c, 200, artifacts.map(viewArtifact));
};

const grep = async (c: Handled): Promise<Response> => {
  const { query, limit } = readQuery(c, searchQuery);
  const { matches } = await grepArtifacts(contextOf(c), pathId(c, 'disk_id'), query, { flavour: 'acontext', limit });
  return succeed(
    c,
    200,
    matches.map(({ artifact }) => viewArtifact(artifact)),
  );
};

export const artifactSearchRoutes: readonly AcontextRoute[] = [
  { method: 'GET', path: '/disk/{disk_id}/artifact/glob', body: 'none', handler: glob },
  { method: 'GET', path: '/disk/{disk_id}/artifact/grep', body: 'none', handler: grep },
];
