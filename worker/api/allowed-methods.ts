import { routeTable } from '../contract/route-table.ts';
import { methodsByPath } from './methods-by-path.ts';

/** What Allow says for a path of the native API; empty where no route has it. */
export const allowedMethods = methodsByPath(routeTable);
