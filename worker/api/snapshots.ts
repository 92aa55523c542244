import type { z } from '@hono/zod-openapi';
import * as routes from '../contract/snapshots.ts';
import { createSnapshot } from '../core/snapshots/create-snapshot.ts';
import { deleteSnapshot } from '../core/snapshots/delete-snapshot.ts';
import { getSnapshot } from '../core/snapshots/find-snapshot.ts';
import { forkSandbox, type Forked } from '../core/snapshots/fork-sandbox.ts';
import { listSnapshots } from '../core/snapshots/list-snapshots.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';
import { logFailure, toServiceError } from './render-error.ts';
import { viewSandbox } from './sandbox-view.ts';
import { timestampOf } from './timestamp.ts';

const viewSnapshot = (row: Awaited<ReturnType<typeof getSnapshot>>): z.infer<typeof routes.snapshotView> => ({
  id: row.id,
  sandboxId: row.sandboxId,
  name: row.name,
  tag: row.tag,
  template: row.template,
  cpu: row.cpus,
  memoryMiB: row.memoryMiB,
  memoryKept: row.memoryKept,
  sizeBytes: row.sizeBytes,
  contentBytes: row.contentBytes,
  createdAt: timestampOf(row.createdAtMs),
});

export const registerSnapshots = (app: App): void => {
  app.openapi(routes.createSnapshotRoute, async (c) => {
    const { name, tag, memory } = c.req.valid('json');
    const input = { name: name ?? null, tag, memory };
    const snapshot = await createSnapshot(contextOf(c), c.req.valid('param').sandboxId, input);
    c.header('location', `/v1/snapshots/${snapshot.id}`);
    return c.json(viewSnapshot(snapshot), 201);
  });

  app.openapi(routes.listSnapshotsRoute, async (c) => {
    const { sandboxId, name, tag, order, cursor, limit } = c.req.valid('query');
    const { snapshots, nextCursor } = await listSnapshots(contextOf(c), {
      id: undefined,
      sandboxId,
      name,
      tag,
      order,
      cursor,
      limit,
    });
    return c.json({ snapshots: snapshots.map(viewSnapshot), nextCursor }, 200);
  });

  app.openapi(routes.getSnapshotRoute, async (c) =>
    c.json(viewSnapshot(await getSnapshot(contextOf(c), { id: c.req.valid('param').snapshotId })), 200),
  );

  app.openapi(routes.deleteSnapshotRoute, async (c) => {
    await deleteSnapshot(contextOf(c), { id: c.req.valid('param').snapshotId });
    return c.body(null, 204);
  });

  app.openapi(routes.forkSandboxRoute, async (c) => {
    const viewForked = (forked: Forked) => {
      if ('sandbox' in forked) return { sandbox: viewSandbox(forked.sandbox) };
      const error = toServiceError(forked.error);
      logFailure(c, error, forked.error);
      return { error: { code: error.code, message: error.message } };
    };
    const { results, memoryKept } = await forkSandbox(
      contextOf(c),
      c.req.valid('param').sandboxId,
      c.req.valid('json'),
    );
    return c.json({ results: results.map(viewForked), memoryKept }, 201);
  });
};
