import { z } from 'zod';
import { contextOf } from '../../api/context.ts';
import { joinArtifactPath } from '../../core/artifacts/artifact-path.ts';
import { getArtifact } from '../../core/artifacts/get-artifact.ts';
import { getDisk } from '../../core/disks/get-disk.ts';
import { ServiceError, type ErrorCode } from '../../core/errors.ts';
import { lasting } from '../../core/lasting.ts';
import { copyFromSandbox } from '../../core/transfers/copy-from-sandbox.ts';
import { copyToSandbox } from '../../core/transfers/copy-to-sandbox.ts';
import { directoryPath } from './artifact-paths.ts';
import { viewArtifact } from './artifact-view.ts';
import { succeed } from './envelope.ts';
import { fromUuid, pathId } from './ids.ts';
import { readJson } from './read-input.ts';
import type { AcontextRoute, Handled } from './route.ts';
import { inSandbox, workingDirectory } from './sandbox.ts';

/** Whose files they are: Acontext's sandboxes have no other user. */
const user = 'root';

const text = z.string().min(1).max(4096);

/** 'dir' and 'dir/' are the same directory, and lie where a command finds them: elsewhere relative paths begin at the user's home. */
const inDirectory = (directory: string, name: string): string => {
  const absolute = directory.startsWith('/') ? directory : `${workingDirectory}/${directory}`;
  return `${absolute.replace(/\/$/, '')}/${name}`;
};

/** Faults of the place in the sandbox, which Acontext answers with success: false. */
const failures: readonly ErrorCode[] = [
  'file_not_found',
  'file_permission_denied',
  'not_a_file',
  'not_a_directory',
  'file_exists',
  'insufficient_storage',
  'transfer_failed',
];

const downloadBody = z.object({ file_path: directoryPath, filename: text, sandbox_id: text, sandbox_path: text });

const downloadToSandbox = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const body = await readJson(c, downloadBody);
  const sandboxId = fromUuid(body.sandbox_id, 'sandbox_id');
  const artifact = await getArtifact(ctx, pathId(c, 'disk_id'), joinArtifactPath(body.file_path, body.filename));
  const destination = inDirectory(body.sandbox_path, body.filename);
  try {
    await inSandbox(() => copyToSandbox(ctx, artifact, { sandboxId, destination, user }));
  } catch (error) {
    if (error instanceof ServiceError && failures.includes(error.code)) return succeed(c, 200, { success: false });
    throw error;
  }
  return succeed(c, 200, { success: true });
};

const uploadBody = z.object({ sandbox_id: text, sandbox_path: text, sandbox_filename: text, file_path: directoryPath });

const uploadFromSandbox = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const body = await readJson(c, uploadBody);
  const sandboxId = fromUuid(body.sandbox_id, 'sandbox_id');
  const { id: diskId } = await getDisk(ctx, pathId(c, 'disk_id'));
  const place = joinArtifactPath(body.file_path, body.sandbox_filename);
  const source = inDirectory(body.sandbox_path, body.sandbox_filename);
  // As an upsert does, it leaves nothing of the metadata that was there.
  const metadata = {};
  const copy = { sandboxId, source, user, diskId, metadata, ...place };
  const artifact = await inSandbox(() => lasting(ctx, copyFromSandbox(ctx, copy)));
  return succeed(c, 201, viewArtifact(artifact));
};

export const artifactTransferRoutes: readonly AcontextRoute[] = [
  { method: 'POST', path: '/disk/{disk_id}/artifact/download_to_sandbox', body: 'json', handler: downloadToSandbox },
  { method: 'POST', path: '/disk/{disk_id}/artifact/upload_from_sandbox', body: 'json', handler: uploadFromSandbox },
];
