import { describe, expect, test } from 'vitest';
import { routeTable } from '../../worker/contract/route-table.ts';
import { acontextPath } from '../../worker/dialects/acontext/path.ts';
import { acontextRoutes } from '../../worker/dialects/acontext/route-table.ts';
import { e2bRoutes } from '../../worker/dialects/e2b/route-table.ts';
import { rootPathOf, rootPaths, type Surface } from '../../worker/dialects/root-paths.ts';

const served: Record<Surface, readonly { method: string; path: string }[]> = {
  native: routeTable.map(({ method, path }) => ({ method: method.toUpperCase(), path })),
  acontext: acontextRoutes.map(({ method, path }) => ({ method, path: `${acontextPath}${path}` })),
  e2b: e2bRoutes,
};
const surfaces = Object.keys(served) as Surface[];

describe.each(surfaces)('every route of %s', (surface) => {
  test('lies below a root path of that surface', () => {
    const strays = served[surface].filter(({ path }) => rootPathOf(path)?.surface !== surface);
    expect(strays).toEqual([]);
  });
});

test('no two routes of all surfaces answer the same method and path, whatever their parameters are called', () => {
  const shapes = surfaces.flatMap((surface) =>
    served[surface].map(({ method, path }) => `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`),
  );
  expect(shapes.filter((shape, index) => shapes.indexOf(shape) !== index)).toEqual([]);
});

test('every root path has routes, and none lies below another', () => {
  for (const { path, surface } of rootPaths) {
    expect(served[surface].some((route) => rootPathOf(route.path)?.path === path)).toBe(true);
    const others = rootPaths.filter((other) => other.path !== path);
    expect(others.filter((other) => path.startsWith(`${other.path}/`))).toEqual([]);
  }
});

test('what E2B and Sandbase both have is marked, and nothing of E2B’s takes health or ours', () => {
  const shared = rootPaths.filter(({ sharedWith }) => sharedWith === 'sandbase').map(({ path }) => path);
  expect(shared).toEqual(['/sandboxes', '/templates', '/v3']);
  expect(rootPathOf('/health')?.surface).toBe('native');
  expect(rootPathOf('/sandboxesque')).toBeUndefined();
  expect(rootPathOf('/')).toBeUndefined();
});

test('a fixed path stands before the one that would take it for a parameter', () => {
  const pattern = (path: string) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
  for (const [at, { method, path }] of e2bRoutes.entries()) {
    const hiding = e2bRoutes
      .slice(0, at)
      .filter((earlier) => earlier.method === method && pattern(earlier.path).test(path));
    expect(hiding.map((earlier) => `${earlier.path} hides ${path}`)).toEqual([]);
  }
});
