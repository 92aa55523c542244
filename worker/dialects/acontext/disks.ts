import { z } from 'zod';
import { contextOf } from '../../api/context.ts';
import { timestampOf } from '../../api/timestamp.ts';
import { createDisk } from '../../core/disks/create-disk.ts';
import { deleteDisk } from '../../core/disks/delete-disk.ts';
import { listDisks } from '../../core/disks/list-disks.ts';
import { succeed } from './envelope.ts';
import { pathId, toUuid } from './ids.ts';
import { viewPage } from './page-view.ts';
import { pageQuery, readJsonOrForm, readQuery } from './read-input.ts';
import type { AcontextRoute, Handled } from './route.ts';

type Disk = Awaited<ReturnType<typeof createDisk>>;

/** An identifier of the tenant's own making. '' is no user. */
export const userField = z
  .string()
  .max(1024)
  .optional()
  .transform((user) => (user === '' ? undefined : user));

const viewDisk = (disk: Disk) => ({
  id: toUuid(disk.id),
  project_id: disk.tenantId,
  user_id: disk.userId === null ? null : toUuid(disk.userId),
  created_at: timestampOf(disk.createdAtMs),
  updated_at: timestampOf(disk.updatedAtMs),
});

const create = async (c: Handled): Promise<Response> => {
  const { user } = await readJsonOrForm(c, z.object({ user: userField }));
  return succeed(c, 201, viewDisk(await createDisk(contextOf(c), { name: '', metadata: {}, user })));
};

const list = async (c: Handled): Promise<Response> => {
  const { user, limit, cursor, time_desc: newestFirst } = readQuery(c, pageQuery.extend({ user: userField }));
  const order = newestFirst ? 'desc' : 'asc';
  const { disks, nextCursor } = await listDisks(contextOf(c), { user, order, cursor, limit });
  return succeed(c, 200, viewPage(disks.map(viewDisk), nextCursor));
};

const remove = async (c: Handled): Promise<Response> => {
  await deleteDisk(contextOf(c), pathId(c, 'disk_id'));
  return succeed(c, 200);
};

export const diskRoutes: readonly AcontextRoute[] = [
  { method: 'POST', path: '/disk', body: 'json-or-form', handler: create },
  { method: 'GET', path: '/disk', body: 'none', handler: list },
  { method: 'DELETE', path: '/disk/{disk_id}', body: 'none', handler: remove },
];
