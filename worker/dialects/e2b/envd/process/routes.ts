import type { EnvdRoute } from '../route.ts';
import { connectRoute } from './connect.ts';
import { closeStdinRoute, inputRoute, signalRoute, updateRoute } from './control.ts';
import { listRoute } from './list.ts';
import { startRoute } from './start.ts';
import { streamInputRoute } from './stream-input.ts';

/** E2B's service `process.Process`, whole. */
export const processRoutes: readonly EnvdRoute[] = [
  startRoute,
  connectRoute,
  listRoute,
  inputRoute,
  closeStdinRoute,
  updateRoute,
  signalRoute,
  streamInputRoute,
];
