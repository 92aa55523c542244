import { registerRoutes } from './api/register-routes.ts';
import { newApp, type App, type Log } from './api/app-env.ts';
import { allowedMethods } from './api/allowed-methods.ts';
import { renderError } from './api/render-error.ts';
import { routeTable } from './contract/route-table.ts';
import { createAcontextApp } from './dialects/acontext/app.ts';
import { renderFailure as renderForAcontext } from './dialects/acontext/envelope.ts';
import { acontextPath } from './dialects/acontext/path.ts';
import { createE2bApp } from './dialects/e2b/app.ts';
import { renderFailure as renderForE2b } from './dialects/e2b/error.ts';
import { sandboxTraffic } from './dialects/e2b/sandbox-traffic.ts';
import { rootPathOf, type Surface } from './dialects/root-paths.ts';
import { ServiceError } from './core/errors.ts';
import type { Services } from './core/ports.ts';
import { adminKey, tenantKey } from './middleware/authenticate.ts';
import { heardRefusals } from './middleware/heard-refusals.ts';
import { boundedJsonBody } from './middleware/json-body.ts';
import { knownHost } from './middleware/known-host.ts';
import { requestLog } from './middleware/request-log.ts';
import { securityHeaders } from './middleware/security-headers.ts';

/** Of every JSON route. A command string may have 1 MiB; JSON may need two bytes for one. */
const jsonBodyMaxBytes = 2 * 1024 * 1024 + 64 * 1024;

/** Where the admin key is asked for, and no tenant's. A test holds it to what the routes say. */
const administered = /^\/v1\/((tenants|orphans|runners)(\/|$)|templates\/.)/;

/** Where the path itself is the right to read: no key is asked for. */
const signed = /^\/v1\/(material\/[^/]+$|previews\/.)/;

export interface AppDeps {
  services: Services;
  adminApiKey: string;
  /** Whose host names are answered: null for any (in production the edge decides), else loopback and this URL's. */
  localPublicUrl: string | null;
  /** Whose key the one of Acontext's documents is; null where it is nobody's. */
  localTenantName: string | null;
  log: Log;
}

/** The HTTP surface. Nothing here knows workerd: what it needs comes in as ports. */
export const createApp = (deps: AppDeps): App => {
  const app = newApp();
  app.use(heardRefusals);
  app.use(requestLog(deps.log));
  app.use(securityHeaders);
  app.use(async (c, next) => {
    c.set('services', deps.services);
    await next();
  });
  const { services, localPublicUrl } = deps;
  if (localPublicUrl !== null) app.use(knownHost(localPublicUrl, services.sandboxDomain));
  app.use(sandboxTraffic({ apiHostname: new URL(services.publicUrl).hostname, local: localPublicUrl !== null }));

  const admin = adminKey(deps.adminApiKey);
  const tenant = tenantKey(deps.adminApiKey);
  app.use('/v1/*', (c, next) => {
    if (signed.test(c.req.path)) return next();
    return administered.test(c.req.path) ? admin(c, next) : tenant(c, next);
  });
  boundJsonBodies(app);
  registerRoutes(app);
  app.route('/', createE2bApp(jsonBodyMaxBytes));
  app.route(acontextPath, createAcontextApp(deps.localTenantName, jsonBodyMaxBytes));

  app.notFound((c) => {
    const allowed = allowedMethods(c.req.path);
    if (allowed.length === 0) {
      return renderError(
        new ServiceError('not_found', 'There is no such route; GET /openapi.json lists those there are.'),
        c,
      );
    }
    c.header('allow', allowed.join(', '));
    return renderError(new ServiceError('method_not_allowed', `This path takes ${allowed.join(', ')}.`), c);
  });
  // What fails before a request reaches its surface is told in that one's form.
  app.onError((error, c) => renderers[rootPathOf(c.req.path)?.surface ?? 'native'](error, c));
  return app;
};

const renderers: Record<Surface, typeof renderError> = {
  native: renderError,
  acontext: renderForAcontext,
  e2b: renderForE2b,
};

const boundJsonBodies = (app: App): void => {
  for (const route of routeTable) {
    const body = route.request?.body;
    if (!body || !('application/json' in body.content)) continue;
    const path = route.path.replaceAll(/\{(.+?)\}/g, ':$1');
    app.on(route.method.toUpperCase(), path, boundedJsonBody(body.required === true, jsonBodyMaxBytes));
  }
};
