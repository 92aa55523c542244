import { listOrphansRoute } from '../contract/orphans.ts';
import { listOrphans } from '../core/storage/list-orphans.ts';
import type { App } from './app-env.ts';
import { adminContextOf } from './context.ts';
import { timestampOf } from './timestamp.ts';

/** The administrator's: the middleware lets only the admin key come this far. */
export const registerOrphans = (app: App): void => {
  app.openapi(listOrphansRoute, async (c) => {
    const { cursor, limit } = c.req.valid('query');
    const { orphans, nextCursor } = await listOrphans(adminContextOf(c), { cursor, limit });
    const views = orphans.map(({ key, sizeBytes, uploadedAtMs, foundAtMs }) => ({
      key,
      sizeBytes,
      uploadedAt: timestampOf(uploadedAtMs),
      foundAt: timestampOf(foundAtMs),
    }));
    return c.json({ orphans: views, nextCursor }, 200);
  });
};
