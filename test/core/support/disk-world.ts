import { openDirectory } from '../../../db/client.ts';
import type { Artifact } from '../../../db/directory.ts';
import { parseArtifactPath } from '../../../worker/core/artifacts/artifact-path.ts';
import { putArtifact, type PutArtifact } from '../../../worker/core/artifacts/put-artifact.ts';
import { createDisk } from '../../../worker/core/disks/create-disk.ts';
import type { Context } from '../../../worker/core/ports.ts';
import { memoryStore } from './memory-store.ts';
import { scriptedCell } from './scripted-cell.ts';
import { SqliteD1 } from './sqlite-d1.ts';

/** The verbs of disks over a real database with its triggers, and an object store in memory. */
export const diskWorld = async ({ maxStorageBytes = 1_000_000 } = {}) => {
  const database = new SqliteD1('directory');
  const { store, objects } = memoryStore();
  const afterwards: Promise<unknown>[] = [];
  const base = scriptedCell().context;
  const shared = {
    ...base,
    directory: openDirectory(database as unknown as Parameters<typeof openDirectory>[0]),
    objects: store,
    after: (work: Promise<unknown>) => void afterwards.push(work.catch(() => undefined)),
  };
  const contextOf = (tenantId: string): Context => {
    database.database
      .prepare(
        `insert or ignore into tenants (id, name, created_at_ms, max_sandboxes, max_cpus, max_memory_mib, max_ttl_seconds,
          max_storage_bytes, requests_per_second) values (?, ?, 0, 1, 1, 1, 1, ?, 1)`,
      )
      .run(tenantId, tenantId, maxStorageBytes);
    const tenant = { ...base.actor.tenant, id: tenantId, maxStorageBytes };
    return { ...shared, actor: { ...base.actor, tenant } };
  };
  const ctx = contextOf('ten_one');
  const newDisk = async (of: Context = ctx): Promise<string> =>
    (await createDisk(of, { name: '', metadata: {}, user: undefined })).id;
  return {
    ctx,
    contextOf,
    newDisk,
    diskId: await newDisk(),
    objects,
    database,
    /** Rows of any query. */
    rows: <T>(query: string): T[] => database.database.prepare(query).all() as T[],
    settled: () => Promise.all(afterwards),
  };
};

export const put = (
  ctx: Context,
  diskId: string,
  path: string,
  text: string,
  more: Partial<PutArtifact> = {},
): Promise<Artifact> => {
  const content = new TextEncoder().encode(text);
  return putArtifact(ctx, diskId, { ...parseArtifactPath(path), content, contentBytes: content.byteLength, ...more });
};
