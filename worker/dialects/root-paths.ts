import { acontextPath } from './acontext/path.ts';

/** Whose words a path is answered in, whatever comes of it. */
export type Surface = 'native' | 'acontext' | 'e2b';

export interface RootPath {
  /** The path itself and all that lies below it. */
  path: string;
  surface: Surface;
  /** Another product has this path as well: a key with that one's prefix means the other. */
  sharedWith?: 'sandbase';
}

/** Every path that something is served below, once: what lies below none of them is there for nobody. A test holds all routes to it. */
export const rootPaths: readonly RootPath[] = [
  { path: '/v1', surface: 'native' },
  { path: '/docs', surface: 'native' },
  { path: '/openapi.json', surface: 'native' },
  { path: '/health', surface: 'native' },
  { path: '/healthz', surface: 'native' },
  { path: '/readyz', surface: 'native' },
  { path: acontextPath, surface: 'acontext' },
  { path: '/sandboxes', surface: 'e2b', sharedWith: 'sandbase' },
  { path: '/templates', surface: 'e2b', sharedWith: 'sandbase' },
  { path: '/v2', surface: 'e2b' },
  { path: '/v3', surface: 'e2b', sharedWith: 'sandbase' },
  { path: '/snapshots', surface: 'e2b' },
  { path: '/teams', surface: 'e2b' },
  { path: '/api-keys', surface: 'e2b' },
  { path: '/access-tokens', surface: 'e2b' },
  { path: '/volumes', surface: 'e2b' },
  { path: '/secrets', surface: 'e2b' },
  { path: '/nodes', surface: 'e2b' },
  { path: '/admin', surface: 'e2b' },
];

/** undefined: nobody's. */
export const rootPathOf = (path: string): RootPath | undefined =>
  rootPaths.find((root) => path === root.path || path.startsWith(`${root.path}/`));
