import type { AcontextRoute } from './route.ts';

/** The SDKs take `msg` for the answer of ping(). */
export const pingRoutes: readonly AcontextRoute[] = [
  { method: 'GET', path: '/ping', body: 'none', handler: (c) => c.json({ code: 0, msg: 'pong' }, 200) },
];
