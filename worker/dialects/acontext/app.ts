import { Hono } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';
import { boundedJsonBody } from '../../middleware/json-body.ts';
import { acontextKey } from './authenticate.ts';
import { renderFailure } from './envelope.ts';
import { acontextPath } from './path.ts';
import { isForm } from './read-form.ts';
import { acontextRoutes } from './route-table.ts';
import type { AcontextRoute } from './route.ts';
import { refuseUnserved } from './unserved.ts';

/** As Hono has it. */
const patternOf = ({ path }: AcontextRoute): string => path.replaceAll(/\{(.+?)\}/g, ':$1');

/** Acontext's API: served below acontextPath, in its envelope whatever happens. Never a redirect: its Python SDK takes one for success. */
export const createAcontextApp = (localTenantName: string | null, jsonBodyMaxBytes: number): Hono<AppEnv> => {
  const app = new Hono<AppEnv>();
  app.onError(renderFailure);
  const register = (route: AcontextRoute): void => {
    const { method, body, handler } = route;
    const pattern = patternOf(route);
    if (body === 'json' || body === 'optional-json') {
      app.on(method, pattern, boundedJsonBody(body === 'json', jsonBodyMaxBytes));
    }
    if (body === 'json-or-form') {
      const bounded = boundedJsonBody(false, jsonBodyMaxBytes);
      app.on(method, pattern, (c, next) => (isForm(c) ? next() : bounded(c, next)));
    }
    app.on(method, pattern, handler);
  };
  for (const route of acontextRoutes) {
    if (!route.open) continue;
    register(route);
    // Another method is refused as such: a key would not help.
    app.all(patternOf(route), (c) => refuseUnserved(c, acontextPath));
  }
  app.use(acontextKey(localTenantName));
  for (const route of acontextRoutes) if (!route.open) register(route);
  app.all('*', (c) => refuseUnserved(c, acontextPath));
  return app;
};
