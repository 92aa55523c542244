import { Hono } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';
import { boundedJsonBody } from '../../middleware/json-body.ts';
import { rootPaths } from '../root-paths.ts';
import { e2bKey } from './authenticate.ts';
import { renderFailure } from './error.ts';
import { e2bRoutes } from './route-table.ts';
import type { E2bRoute } from './route.ts';
import { refuseUnknown } from './unserved.ts';

/** As Hono has it. */
const patternOf = ({ path }: E2bRoute): string => path.replaceAll(/\{(.+?)\}/g, ':$1');

/** E2B's control plane, served at the root; its errors are in E2B's form. */
export const createE2bApp = (jsonBodyMaxBytes: number): Hono<AppEnv> => {
  const app = new Hono<AppEnv>();
  app.onError(renderFailure);
  for (const route of e2bRoutes) {
    const pattern = patternOf(route);
    if (route.open !== true) app.on(route.method, pattern, e2bKey);
    if (route.body !== 'none') app.on(route.method, pattern, boundedJsonBody(route.body === 'json', jsonBodyMaxBytes));
    app.on(route.method, pattern, route.handler);
  }
  const refuse = refuseUnknown(e2bRoutes);
  for (const { path } of rootPaths.filter(({ surface }) => surface === 'e2b')) {
    app.all(path, e2bKey, refuse);
    app.all(`${path}/*`, e2bKey, refuse);
  }
  return app;
};
