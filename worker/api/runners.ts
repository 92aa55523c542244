import { listRunnersRoute } from '../contract/runners.ts';
import { listRunners } from '../core/runners/list-runners.ts';
import type { App } from './app-env.ts';
import { adminContextOf } from './context.ts';
import { timestampOf } from './timestamp.ts';

/** The administrator's: the middleware lets only the admin key come this far. */
export const registerRunners = (app: App): void => {
  app.openapi(listRunnersRoute, async (c) => {
    const runners = await listRunners(adminContextOf(c));
    const views = runners.map(({ runnerId, heardAtMs, cpus, networks, ...rest }) => ({
      id: runnerId,
      heardAt: timestampOf(heardAtMs),
      cpu: cpus,
      networks: [...networks],
      ...rest,
    }));
    return c.json({ runners: views }, 200);
  });
};
