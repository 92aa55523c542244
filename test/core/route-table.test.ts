import { expect, test } from 'vitest';
import { newApp } from '../../worker/api/app-env.ts';
import { openApiDocument } from '../../worker/api/documentation.ts';
import { registerRoutes } from '../../worker/api/register-routes.ts';
import { allowedMethods } from '../../worker/api/allowed-methods.ts';
import { routeTable } from '../../worker/contract/route-table.ts';
import { envdRoutes } from '../../worker/dialects/e2b/envd/route-table.ts';

const app = newApp();
registerRoutes(app);
const documented = Object.entries(openApiDocument(app).paths ?? {}).flatMap(([path, item]) =>
  Object.keys(item ?? {}).map((method) => `${method} ${path}`),
);

test('no two routes answer the same method and path, whatever their parameters are called', () => {
  const shapes = routeTable.map(({ method, path }) => `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`);
  expect(shapes.filter((shape, index) => shapes.indexOf(shape) !== index)).toEqual([]);
});

test('every route has an operationId of its own', () => {
  const ids = routeTable.map(({ operationId }) => operationId);
  expect(ids).not.toContain(undefined);
  expect(new Set(ids).size).toBe(ids.length);
});

test('the table, the handlers and the document name the same routes', () => {
  const listed = routeTable.map(({ method, path }) => `${method} ${path}`);
  expect(listed.toSorted()).toEqual(documented.toSorted());
});

test('Allow names each route’s method, and HEAD beside GET', () => {
  for (const { method, path } of routeTable) {
    const allowed = allowedMethods(path.replaceAll(/\{\w+\}/g, 'x'));
    expect(allowed).toContain(method.toUpperCase());
    expect(allowed.includes('HEAD')).toBe(allowed.includes('GET'));
  }
});

test('the first segments that dialects need under /v1 stay free', () => {
  const taken = new Set(routeTable.map(({ path }) => path.split('/')[2]));
  for (const segment of ['sandbox', 'agents', 'sessions', 'environments']) expect(taken.has(segment)).toBe(false);
});

test('no two routes of a sandbox’s envd surface answer the same method and path', () => {
  const places = envdRoutes.map(({ method, path }) => `${method} ${path}`);
  expect(places.filter((place, index) => places.indexOf(place) !== index)).toEqual([]);
});

test('of the envd surface only /health is anybody’s, and only files are opened by a signature', () => {
  const paths = (access: string) => envdRoutes.filter((route) => route.access === access).map(({ path }) => path);
  expect(paths('anybody')).toEqual(['/health']);
  expect([...new Set(paths('token-or-signature'))]).toEqual(['/files']);
});
