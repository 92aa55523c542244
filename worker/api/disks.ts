import type { z } from '@hono/zod-openapi';
import * as routes from '../contract/disks.ts';
import { changeDisk } from '../core/disks/change-disk.ts';
import { createDisk } from '../core/disks/create-disk.ts';
import { deleteDisk } from '../core/disks/delete-disk.ts';
import { getDisk } from '../core/disks/get-disk.ts';
import { listDisks } from '../core/disks/list-disks.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';
import { timestampOf } from './timestamp.ts';

const viewDisk = (disk: Awaited<ReturnType<typeof getDisk>>): z.infer<typeof routes.diskView> => ({
  id: disk.id,
  name: disk.name,
  user: disk.user,
  metadata: disk.metadata,
  createdAt: timestampOf(disk.createdAtMs),
  updatedAt: timestampOf(disk.updatedAtMs),
});

export const registerDisks = (app: App): void => {
  app.openapi(routes.createDiskRoute, async (c) => {
    const { name, metadata, user } = c.req.valid('json');
    const disk = await createDisk(contextOf(c), { name, metadata, user });
    c.header('location', `/v1/disks/${disk.id}`);
    return c.json(viewDisk(disk), 201);
  });

  app.openapi(routes.listDisksRoute, async (c) => {
    const { user, order, cursor, limit } = c.req.valid('query');
    const { disks, nextCursor } = await listDisks(contextOf(c), { user, order, cursor, limit });
    return c.json({ disks: disks.map(viewDisk), nextCursor }, 200);
  });

  app.openapi(routes.getDiskRoute, async (c) =>
    c.json(viewDisk(await getDisk(contextOf(c), c.req.valid('param').diskId)), 200),
  );

  app.openapi(routes.changeDiskRoute, async (c) => {
    const { name, metadata } = c.req.valid('json');
    return c.json(viewDisk(await changeDisk(contextOf(c), c.req.valid('param').diskId, { name, metadata })), 200);
  });

  app.openapi(routes.deleteDiskRoute, async (c) => {
    await deleteDisk(contextOf(c), c.req.valid('param').diskId);
    return c.body(null, 204);
  });
};
