import { methodsByPath } from '../../api/methods-by-path.ts';
import { ServiceError } from '../../core/errors.ts';
import type { E2bRoute, Handled } from './route.ts';

const notServed = (what: string) => (): never => {
  throw new ServiceError('not_implemented', `${what} are not served here.`);
};

const unserved = (what: string, routes: readonly string[]): E2bRoute[] =>
  routes.map((route) => {
    const [method, path = ''] = route.split(' ');
    return { method: method as E2bRoute['method'], path, body: 'none', handler: notServed(what) };
  });

/** What E2B's API has and this one has not: told as such, not as a path that there is not. */
export const unservedRoutes: readonly E2bRoute[] = [
  ...unserved('Template builds', [
    'POST /v3/templates',
    'POST /v2/templates',
    'POST /templates',
    'POST /templates/tags',
    'DELETE /templates/tags',
    'GET /templates/{templateID}/tags',
    'GET /templates/{templateID}/files/{hash}',
    'POST /templates/{templateID}',
    'PATCH /templates/{templateID}',
    'PATCH /v2/templates/{templateID}',
    'POST /templates/{templateID}/builds/{buildID}',
    'POST /v2/templates/{templateID}/builds/{buildID}',
    'GET /templates/{templateID}/builds/{buildID}/status',
    'GET /templates/{templateID}/builds/{buildID}/logs',
  ]),
  ...unserved('Volumes', ['GET /volumes', 'POST /volumes', 'GET /volumes/{volumeID}', 'DELETE /volumes/{volumeID}']),
  ...unserved('Secrets', [
    'GET /secrets',
    'POST /secrets',
    'GET /secrets/{secretID}',
    'POST /secrets/{secretID}',
    'DELETE /secrets/{secretID}',
  ]),
  ...unserved('Other names for API keys', ['PATCH /api-keys/{apiKeyID}']),
  ...unserved('Access tokens', ['POST /access-tokens', 'DELETE /access-tokens/{accessTokenID}']),
  ...unserved('The operator’s routes', [
    'GET /nodes',
    'GET /nodes/{nodeID}',
    'POST /nodes/{nodeID}',
    'POST /admin/teams/{teamID}/sandboxes/kill',
    'GET /admin/sandboxes/running-counts',
    'POST /admin/teams/{teamID}/builds/cancel',
    'POST /admin/teams/{teamID}/api-keys',
    'DELETE /admin/teams/{teamID}/api-keys/{apiKeyID}',
  ]),
];

/** Why no route answered. Throws always. */
export const refuseUnknown = (routes: readonly E2bRoute[]) => {
  const allowedMethods = methodsByPath(routes);
  return (c: Handled): never => {
    const allowed = allowedMethods(c.req.path);
    if (allowed.length === 0) throw new ServiceError('not_found', 'There is no such route.');
    c.header('allow', allowed.join(', '));
    throw new ServiceError('method_not_allowed', `This path takes ${allowed.join(', ')}.`);
  };
};
