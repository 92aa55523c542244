import { openDirectory } from '../../../db/client.ts';
import type { JobData } from '../../../runner/protocol/jobs.ts';
import { ServiceError, type ErrorCode } from '../../../worker/core/errors.ts';
import type { Broker, Context } from '../../../worker/core/ports.ts';
import { createSandbox } from '../../../worker/core/sandboxes/create-sandbox.ts';
import { memoryStore } from '../support/memory-store.ts';
import { createInput, scriptedCell } from '../support/scripted-cell.ts';
import { SqliteD1 } from '../support/sqlite-d1.ts';
import { wrongSums } from '../support/storage-sums.ts';

interface Script {
  /** Of each snapshot that is taken. */
  sizeBytes?: number;
  /** What the runner refuses with. */
  refuse?: (job: string, runnerId: string) => ErrorCode | undefined;
  runners?: string[];
  /** Whether snapshots have processes in them, and whether the create of so many brings them back. */
  memory?: boolean;
  restored?: (creates: number) => boolean;
}

/** The verbs over a real database with its triggers, a store in memory, and runners that follow a script. */
export const snapshotWorld = async (script: Script = {}) => {
  const database = new SqliteD1('directory');
  const { store, objects, parts } = memoryStore();
  const dropped: string[] = [];
  const sources: unknown[] = [];
  const sizeBytes = script.sizeBytes ?? 100;
  const refuse = (job: string, runnerId: string): void => {
    const code = script.refuse?.(job, runnerId);
    if (code !== undefined) throw new ServiceError(code, `no ${job}`);
  };
  const cell = scriptedCell(script.runners ? { runners: script.runners } : {});
  const snapshot = {
    sizeBytes,
    contentBytes: 7,
    image: `sha256:${'a'.repeat(64)}`,
    memoryKept: script.memory ?? false,
  };
  const lifecycle: Broker['lifecycle'] = async (name, runnerId, data, timeoutMs) => {
    refuse(name, runnerId);
    const source = (data as Partial<JobData<'sandbox.create'>>).spec?.snapshot;
    if (source) sources.push({ runnerId, url: source.url });
    const memoryKept = script.restored?.(sources.length) ?? false;
    const outcome = await cell.context.broker.lifecycle(name, runnerId, data, timeoutMs);
    if (name === 'sandbox.snapshot') return { ...outcome, snapshot };
    return source ? { ...outcome, memoryKept } : outcome;
  };
  const uploadSnapshot: Broker['uploadSnapshot'] = async (_ref, { runnerId }, job) => {
    refuse('snapshot.upload', runnerId);
    const uploaded = job.parts.map(async ({ part, url, sizeBytes: length }) => {
      const key = new URL(url).pathname.slice(1);
      return { part, etag: (await store.putPart(key, key, part, new Uint8Array(length), length)).etag };
    });
    return { parts: await Promise.all(uploaded) };
  };
  const dropSnapshot: Broker['dropSnapshot'] = async (_ref, _place, id) => void dropped.push(id);
  const broker: Broker = { ...cell.context.broker, lifecycle, uploadSnapshot, dropSnapshot };
  let nowMs = Date.now();
  const maxStorageBytes = 1000;
  database.database
    .prepare(
      `insert into tenants (id, name, created_at_ms, max_sandboxes, max_cpus, max_memory_mib, max_ttl_seconds, max_storage_bytes,
        requests_per_second) values ('ten_test', 'test', 0, 1, 1, 1, 1, ?, 1)`,
    )
    .run(maxStorageBytes);
  const ctx: Context = {
    ...cell.context,
    directory: openDirectory(database as unknown as Parameters<typeof openDirectory>[0]),
    broker,
    snapshotObjects: { ...store, presign: async ({ key }) => `http://store/${key}` },
    actor: { ...cell.context.actor, tenant: { ...cell.context.actor.tenant, maxStorageBytes } },
    now: () => nowMs,
  };
  const rows = <T>(query: string): T[] => database.database.prepare(query).all() as T[];
  return {
    ctx,
    objects,
    parts,
    dropped,
    sources,
    rows,
    settled: cell.settled,
    pass: (ms: number) => (nowMs += ms),
    newSandbox: async () => (await createSandbox(ctx, { ...createInput, metadata: { a: 'b' } })).sandbox,
    /** Empty where the sums are right. */
    wrongSums: () => rows(wrongSums),
    storage: () =>
      rows<{ bytes: number; condemned_bytes: number }>('select bytes, condemned_bytes from tenant_storage')[0],
  };
};
