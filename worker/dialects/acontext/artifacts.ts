import { z } from 'zod';
import { answerArtifact } from '../../api/artifact-bytes.ts';
import { contextOf } from '../../api/context.ts';
import { parseDirectoryPath } from '../../core/artifacts/artifact-path.ts';
import { changeArtifact } from '../../core/artifacts/change-artifact.ts';
import { getArtifact } from '../../core/artifacts/get-artifact.ts';
import { listDirectory } from '../../core/artifacts/list-directory.ts';
import { createMaterial } from '../../core/artifacts/material.ts';
import { removeArtifact } from '../../core/artifacts/remove-artifacts.ts';
import { getDisk } from '../../core/disks/get-disk.ts';
import { ServiceError } from '../../core/errors.ts';
import { lasting } from '../../core/lasting.ts';
import type { Context } from '../../core/ports.ts';
import { readParsedContent } from './artifact-content.ts';
import { filePath } from './artifact-paths.ts';
import { viewArtifact, type Artifact } from './artifact-view.ts';
import { succeed } from './envelope.ts';
import { pathId } from './ids.ts';
import { materialUrl } from './material.ts';
import { parseMeta } from './meta.ts';
import { flag, readJson, readQuery } from './read-input.ts';
import { putForm } from './read-upload.ts';
import type { AcontextRoute, Handled } from './route.ts';

/** A directory's artifacts are answered all at once, without pages. */
const listedCount = 10_000;

const upsert = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const { id: diskId } = await getDisk(ctx, pathId(c, 'disk_id'));
  return succeed(c, 201, viewArtifact(await lasting(ctx, putForm(c, ctx, diskId))));
};

const fileQuery = z.object({ file_path: filePath });

const getQuery = fileQuery.extend({
  with_public_url: flag.default(true),
  with_content: flag.default(true),
  expire: z.coerce.number().int().default(3600),
});

const get = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const { file_path: place, with_public_url, with_content, expire } = readQuery(c, getQuery);
  const artifact = await getArtifact(ctx, pathId(c, 'disk_id'), place);
  const [publicUrl, content] = await Promise.all([
    with_public_url ? publicUrlOf(ctx, artifact, expire) : undefined,
    with_content ? readParsedContent(ctx, artifact) : undefined,
  ]);
  return succeed(c, 200, {
    artifact: viewArtifact(artifact),
    ...(publicUrl === undefined ? {} : { public_url: publicUrl }),
    ...(content === undefined ? {} : { content }),
  });
};

const publicUrlOf = async (ctx: Context, artifact: Artifact, expiresSeconds: number): Promise<string> =>
  materialUrl(ctx, await createMaterial(ctx, artifact, expiresSeconds));

const updateBody = z.object({ file_path: filePath, meta: z.string().min(1) });

const update = async (c: Handled): Promise<Response> => {
  const { file_path: place, meta } = await readJson(c, updateBody);
  const metadata = parseMeta(meta);
  const artifact = await changeArtifact(contextOf(c), pathId(c, 'disk_id'), place, { metadata });
  return succeed(c, 200, { artifact: viewArtifact(artifact) });
};

const remove = async (c: Handled): Promise<Response> => {
  await removeArtifact(contextOf(c), pathId(c, 'disk_id'), readQuery(c, fileQuery).file_path);
  return succeed(c, 200);
};

/** `listed`: what there was room for. */
const tooMuchToList = (listed: number): ServiceError => {
  const much =
    listed < listedCount
      ? `The meta of this directory's artifacts is more than an answer holds: it has room for the first ${listed} entries`
      : `This directory holds more than ${listedCount} entries`;
  const sentence = `${much}; the native API lists it in pages, glob finds some of them.`;
  return new ServiceError('payload_too_large', sentence);
};

const listQuery = z.object({ path: z.string().default('/') });

const list = async (c: Handled): Promise<Response> => {
  const path = readQuery(c, listQuery).path || '/';
  if (!path.startsWith('/') || !path.endsWith('/')) {
    throw new ServiceError('invalid_argument', "both ends of the path must be '/'");
  }
  const directory = parseDirectoryPath(path);
  const page = { cursor: undefined, limit: listedCount };
  const listed = await listDirectory(contextOf(c), pathId(c, 'disk_id'), directory, page);
  const { artifacts, directories, nextCursor } = listed;
  if (nextCursor !== null) throw tooMuchToList(artifacts.length + directories.length);
  return succeed(c, 200, { artifacts: artifacts.map(viewArtifact), directories });
};

const download = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const artifact = await getArtifact(ctx, pathId(c, 'disk_id'), readQuery(c, fileQuery).file_path);
  return answerArtifact(c, ctx, ctx.actor.tenant.id, artifact);
};

const artifactPath = '/disk/{disk_id}/artifact';

export const artifactRoutes: readonly AcontextRoute[] = [
  { method: 'POST', path: artifactPath, body: 'stream', handler: upsert },
  { method: 'GET', path: artifactPath, body: 'none', handler: get },
  { method: 'PUT', path: artifactPath, body: 'json', handler: update },
  { method: 'DELETE', path: artifactPath, body: 'none', handler: remove },
  { method: 'GET', path: `${artifactPath}/ls`, body: 'none', handler: list },
  { method: 'GET', path: `${artifactPath}/download`, body: 'none', handler: download },
];
